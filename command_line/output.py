"""Standard output and standard error that never end a command: its results do not depend on whether they can be printed."""

import codecs
import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

OUTPUT_LOST = 74  # exit status: all was done, but standard output could not be written; EX_IOERR of sysexits.h

# What this project prints beyond ASCII, where the encoding lacks it. One column each, so that tables keep straight.
_PLAIN = {"ε": "e", "α": "a", "–": "-", "−": "-", "±": "~", "×": "x", "’": "'", "“": '"', "”": '"', "…": "."}
_PLAIN_ERRORS = "plain"


@contextmanager
def tolerant_output(*, is_result: bool = True) -> Iterator[None]:
    """Within it nothing that is printed raises, whatever becomes of standard output and standard error.

    A character that the encoding lacks is replaced by a plain one, or escaped. Where a stream cannot be written, the rest of
    what is printed to it is dropped: silently where its reader went away (`| head`), else at the end with a word on standard
    error and, where the command did well, exit status 74.

    Args:
        is_result: whether that is worth a word and a status: what a service prints is not what it is run for.

    Raises:
        SystemExit: that of the command, or `OUTPUT_LOST`.
    """
    codecs.register_error(_PLAIN_ERRORS, _plain)
    _occupy_closed_descriptors()
    before = sys.stdout, sys.stderr
    sys.stdout, output = _tolerant(sys.stdout, 1)
    sys.stderr, _ = _tolerant(sys.stderr, 2)
    try:
        try:
            yield
        except SystemExit as end:
            if is_result:
                _finish(output, failed=end.code not in (None, 0))
            raise
        if is_result:
            _finish(output, failed=False)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before


def print_line(line: str) -> None:
    """Prints a line of its own, and at once: what was printed before it may lack a line's end, such as a progress bar."""
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    within_a_line = isinstance(raw, _Descriptor) and raw.last not in (b"", b"\n")
    print(f"\n{line}" if within_a_line else line, flush=True)  # noqa: T201


class _Descriptor(io.RawIOBase):
    """A file descriptor that takes whatever is written to it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.error: OSError | None = None  # since which everything is dropped
        self.last = b""  # byte that was written

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, content: Any, /) -> int:
        while self.error is None:
            try:
                written = os.write(self._descriptor, content)
            except BlockingIOError:  # whoever shares the descriptor made it so
                select.select([], [self._descriptor], [])
            except OSError as error:
                self.error = error
            else:
                self.last = bytes(memoryview(content)[written - 1 : written])
                return written
        return memoryview(content).nbytes


def _tolerant(stream: TextIO | None, descriptor: int) -> tuple[TextIO, _Descriptor]:
    raw = _Descriptor(descriptor)
    text = io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=None if stream is None else stream.encoding,
        errors=_PLAIN_ERRORS,
        line_buffering=descriptor == 2 or raw.isatty(),
        write_through=True,  # click writes past the text layer where that is ASCII
    )
    return text, raw


def _finish(output: _Descriptor, *, failed: bool) -> None:
    sys.stdout.flush()  # what is not yet written may not be writable
    if output.error is None or output.error.errno == errno.EPIPE:
        return
    print(f"error: standard output cannot be written: {output.error.strerror}", file=sys.stderr)  # noqa: T201
    if not failed:
        raise SystemExit(OUTPUT_LOST)


def _occupy_closed_descriptors() -> None:
    """Else a file that is opened later gets the number of a stream that was closed, and with it what is printed."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # which takes the lowest free number


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_PLAIN.get(each) or ascii(each)[1:-1] for each in lacking), error.end
