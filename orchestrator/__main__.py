"""`orchestrator`: runs the command line; errors are one line, without a stack trace."""

import atexit
import gc
import sys

import click

from command_line.output import tolerant_output
from orchestrator.cli import cli
from orchestrator.commands.interruption import Interrupted, raised_signals
from orchestrator.errors import InputError, OrchestratorError


def main() -> None:
    """Runs the command line."""
    atexit.register(gc.freeze)  # as it ends the interpreter looks for garbage once more, for longer than most commands take
    with tolerant_output(), raised_signals():
        try:
            cli()
        except OrchestratorError as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(2 if isinstance(error, InputError) else 1)
        except Interrupted as signal:
            click.echo(str(signal), err=True)
            sys.exit(signal.exit_status)


if __name__ == "__main__":
    main()
