"""How a program runs: the work first, then what is printed of it, and errors in one line."""

import sys
from typing import NoReturn

import click

from command_line.errors import FAILED, INTERRUPTED, OperatorError
from command_line.memory import memory_advice
from command_line.output import OUTPUT_LOST, tolerant_output

EXIT_STATUS = (
    f"Exit status: 0 done, also where nobody reads the output to its end; {OUTPUT_LOST} done, but the output could not be "
    "written; 2 refused, the reason is the last line; 130 interrupted."
)


def run_program(command: click.Command, *, interrupted: str = "interrupted", note: str | None = None) -> NoReturn:
    """Runs a command, prints what it returns, and exits as `EXIT_STATUS` says.

    Args:
        command: returns what is to be printed, or None.
        interrupted: what to say when it was.
        note: what to say before the work, if anything.
    """
    with tolerant_output():
        if note:
            click.echo(f"note: {note}", err=True)
        sys.exit(_run(command, interrupted))


def _run(command: click.Command, interrupted: str) -> int:
    try:
        outcome = command.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo(interrupted, err=True)
        return INTERRUPTED
    except OperatorError as error:
        click.echo(f"error: {error}", err=True)
        return FAILED
    except Exception as error:
        if (reason := memory_advice(error) or _of_system(error)) is None:
            raise
        click.echo(f"error: {reason}", err=True)
        return FAILED
    if isinstance(outcome, int):
        return outcome  # click's own, of --help and --version
    if outcome is not None:
        print(outcome)  # noqa: T201 - click would write UTF-8 whatever the encoding
    return 0


def _of_system(error: Exception) -> str | None:
    if not isinstance(error, OSError):
        return None
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)
