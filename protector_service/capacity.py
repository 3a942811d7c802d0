"""How much the protector takes on at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

from rpc.errors import busy, invalid_argument

_RETRY_AFTER_MS = 1000


class CapacityLimiter:
    """Bounds the cloaks that all calls together may have asked for and not yet taken away.

    Each is a row while it is crafted and an encoded image until its client reads it, so that the bound is one on memory.
    For use on the event loop only.
    """

    def __init__(self, max_rows: int) -> None:
        self._max_rows = max_rows
        self.rows = 0  # admitted

    @contextmanager
    def admitted(self, rows: int) -> Iterator[None]:
        """Holds a place for each row of a call while the context lasts.

        Raises:
            ServiceError: INVALID_ARGUMENT: the call can never be admitted; RESOURCE_EXHAUSTED: not now.
        """
        if rows > self._max_rows:
            raise invalid_argument(
                "epsilons",
                expected=f"at most {self._max_rows} cloaks a call, all methods together",
                actual=f"{rows} cloaks",
            )
        if self.rows + rows > self._max_rows:
            raise busy(f"{self.rows} cloaks are asked for already", retry_after_ms=_RETRY_AFTER_MS)
        self.rows += rows
        try:
            yield
        finally:
            self.rows -= rows
