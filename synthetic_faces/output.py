"""What is printed, which nothing depends on: no output that is closed, full or of another encoding ends the work."""

import os
import sys
from contextlib import suppress
from typing import TextIO


def say(text: str, *, to: TextIO | None, end: str = "\n") -> None:
    """Prints, with escapes for what the stream's encoding does not have; not at all where nobody takes it any more."""
    if to is None:  # it was closed before the program began
        return
    encoding = to.encoding or "ascii"
    try:
        to.write((text + end).encode(encoding, errors="backslashreplace").decode(encoding))
        to.flush()
    except (OSError, ValueError):
        _discard(to)


def _discard(stream: TextIO) -> None:
    """Has what is yet to be flushed go nowhere, lest it fail once more when the interpreter ends."""
    with suppress(OSError, ValueError):
        descriptor = stream.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


def say_done(text: str) -> None:
    """Prints a result."""
    say(text, to=sys.stdout)


def say_meanwhile(text: str, *, end: str = "\n") -> None:
    """Prints how far the work is, or what keeps it from going on."""
    say(text, to=sys.stderr, end=end)
