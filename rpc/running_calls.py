"""The calls whose handlers have not returned yet."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

from rpc.interceptor import Context, OwnCallsInterceptor

_calls: ContextVar["RunningCalls | None"] = ContextVar("calls", default=None)


def is_cut_off() -> bool:
    """Whether it is the server that ends the call that is being handled here, and not its client."""
    calls = _calls.get()
    return calls is not None and calls.cut_off


class RunningCalls(OwnCallsInterceptor):
    """Counts the handlers of this project's own services that are running; the innermost interceptor, next to the handlers.

    gRPC's `stop` returns when it has cancelled the calls. Their handlers are told of it only afterwards, and have then
    still to give back what they hold and to write down how they ended.
    """

    def __init__(self) -> None:
        self.number = 0
        self.cut_off = False  # whether the server is ending those that still run
        self._none = asyncio.Event()
        self._none.set()

    async def end(self, seconds: float) -> bool:
        """Waits until no handler is running, for so long at most, and says whether none is."""
        try:
            await asyncio.wait_for(self._none.wait(), seconds)
        except TimeoutError:
            return False
        return True

    @asynccontextmanager
    async def around(self, method: str, context: Context) -> AsyncIterator[None]:
        _calls.set(self)
        self.number += 1
        self._none.clear()
        try:
            yield
        finally:
            self.number -= 1
            if not self.number:
                self._none.set()
