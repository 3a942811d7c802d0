"""How this package's programs run: the work first, then what is printed of it, and errors in one line."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

import click

from recognizers.errors import RecognizerError
from recognizers.memory import limit_note, memory_advice

NOT_PRINTED, FAILED, INTERRUPTED = 1, 2, 130

EXIT_STATUS = (
    "Exit status: 0 done, also where nobody reads the output to its end; 1 done, but the output could not be written; "
    "2 refused, the reason is the last line; 130 interrupted."
)


class LenientOutput:
    """A stream that work is reported to. Once it fails, what is written to it is lost, and nothing else."""

    def __init__(self, stream: TextIO | None) -> None:
        """`stream` is None where the program was started with the descriptor closed."""
        self._stream = stream
        self.error: OSError | None = None

    def write(self, text: str) -> int:
        if self._stream is not None and self.error is None:
            try:
                self._stream.write(text)
            except OSError as error:
                self._give_up(error)
        return len(text)

    def flush(self) -> None:
        if self._stream is not None and self.error is None:
            try:
                self._stream.flush()
            except OSError as error:
                self._give_up(error)

    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _give_up(self, error: OSError) -> None:
        self.error = error
        assert self._stream is not None
        # The interpreter flushes at its end what still waits to be written: let that succeed.
        with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device
            os.dup2(nowhere.fileno(), self._stream.fileno())


def run(
    command: click.Command, *, interrupted: str = "interrupted", refusals: tuple[type[Exception], ...] = (RecognizerError,)
) -> int:
    """Runs a command and prints what it returns; the status to exit with is as `EXIT_STATUS` says.

    Args:
        command: returns what is to be printed, or None.
        interrupted: what to say when it was.
        refusals: errors whose message is meant for the person who runs the program.
    """
    with _lenient_streams() as (out, err):
        if note := limit_note():
            err.write(f"note: {note}\n")
        status = _run(command, interrupted, refusals)
        out.flush()
        if out.error is not None and out.error.errno != errno.EPIPE:
            err.write(f"error: the output could not be written: {out.error.strerror}\n")
            status = status or NOT_PRINTED
        err.flush()
    return status


def _run(command: click.Command, interrupted: str, refusals: tuple[type[Exception], ...]) -> int:
    try:
        outcome = command.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        sys.stderr.write(f"{interrupted}\n")
        return INTERRUPTED
    except refusals as error:
        sys.stderr.write(f"error: {error}\n")
        return FAILED
    except Exception as error:
        if (reason := memory_advice(error) or _of_system(error)) is None:
            raise
        sys.stderr.write(f"error: {reason}\n")
        return FAILED
    if isinstance(outcome, int):
        return outcome  # click's own, of --help and --version
    if outcome is not None:
        sys.stdout.write(f"{outcome}\n")
    return 0


def _of_system(error: Exception) -> str | None:
    if not isinstance(error, OSError):
        return None
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)


@contextmanager
def _lenient_streams() -> Iterator[tuple[LenientOutput, LenientOutput]]:
    before = sys.stdout, sys.stderr
    for stream in before:
        # Names of files may hold what the output's encoding, or any, has not.
        with suppress(AttributeError):
            cast("Any", stream).reconfigure(errors="backslashreplace")
    out, err = LenientOutput(sys.stdout), LenientOutput(sys.stderr)
    sys.stdout, sys.stderr = cast("TextIO", out), cast("TextIO", err)
    try:
        yield out, err
    finally:
        sys.stdout, sys.stderr = before
