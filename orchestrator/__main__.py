"""`orchestrator`: runs the command line; errors are one line, without a stack trace."""

import sys

import click

from orchestrator.cli import cli
from orchestrator.errors import InputError, OrchestratorError


def main() -> None:
    """Runs the command line."""
    try:
        cli()
    except OrchestratorError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2 if isinstance(error, InputError) else 1)


if __name__ == "__main__":
    main()
