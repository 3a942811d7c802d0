"""Standard output of a kind that commands must not mind."""

import io
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

LATIN, ASCII, HEAD, FULL, CLOSED = "latin-1", "ascii", "| head -1", "/dev/full", "closed"


@contextmanager
def standard_output(kind: str) -> Iterator[None]:
    """This process's own is of a kind while the context lasts."""
    kept, before = os.dup(1), sys.stdout
    reading, writing = os.pipe()
    full = os.open("/dev/full", os.O_WRONLY)
    reader = threading.Thread(target=_read, args=(reading,), kwargs={"to_the_end": kind != HEAD})
    reader.start()
    try:
        os.dup2(full if kind == FULL else writing, 1)
        os.close(writing)
        encoding = kind if kind in (LATIN, ASCII) else "utf-8"
        sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), encoding=encoding)
        if kind == CLOSED:
            sys.stdout = None
            os.close(1)
        yield
    finally:
        sys.stdout = before
        os.dup2(kept, 1)
        reader.join()
        for descriptor in (kept, full, reading):
            os.close(descriptor)


def _read(descriptor: int, *, to_the_end: bool) -> None:
    with open(descriptor, "rb", closefd=False) as pipe:
        pipe.readline()
        if to_the_end:
            pipe.read()
