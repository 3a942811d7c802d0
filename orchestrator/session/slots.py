"""A bound on what is done at a time, which may change meanwhile."""

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType


class Slots:
    """A semaphore whose size is asked for whenever somebody waits or is done. Who waits longest comes first."""

    def __init__(self, size: Callable[[], int]) -> None:
        """`size` is at least 1. One that has grown is noticed when somebody is done."""
        self._size = size
        self._used = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def acquire(self) -> None:
        """Returns when there is a slot."""
        if not self._waiting and self._used < self._size():
            self._used += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # the slot was given meanwhile
                self.release()
            else:
                self._waiting.remove(turn)
            raise

    def release(self) -> None:
        """Gives a slot back."""
        self._used -= 1
        while self._waiting and self._used < self._size():
            turn = self._waiting.popleft()
            if not turn.done():
                self._used += 1
                turn.set_result(None)

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()
