"""Lines on standard output and standard error, which decide nothing if nobody reads them. Imports nothing heavy."""

import os
import sys
from contextlib import suppress
from typing import TextIO


def say(line: str, *, error: bool = False) -> bool:
    """Writes a line to standard output, or as an `error` to standard error, and says whether it could be written.

    It cannot where the stream is closed, its reader gone, or the disk full. Characters that the stream's encoding lacks are
    written as escapes.
    """
    stream = sys.stderr if error else sys.stdout
    if stream is None:  # it was closed when the interpreter started
        return False
    try:
        _write(line, stream)
    except (OSError, ValueError):  # a closed stream's
        _discard(stream)
        return False
    return True


def open_missing_streams() -> None:
    """Opens the null device for each standard stream that is closed.

    The next file that is opened would get its number otherwise, and what libraries write there would end up in that file.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the smallest number that is free


def settle_streams() -> None:
    """Writes out what the standard streams hold, or discards it: the interpreter would end with status 120 because of it."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            try:
                stream.flush()
            except (OSError, ValueError):
                _discard(stream)


def _write(line: str, stream: TextIO) -> None:
    try:
        print(line, file=stream, flush=True)
    except UnicodeEncodeError:
        escaped = line.encode(stream.encoding, errors="backslashreplace").decode(stream.encoding)
        print(escaped, file=stream, flush=True)


def _discard(stream: TextIO) -> None:
    """Lets a stream that cannot be written go nowhere, with what it still holds."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
