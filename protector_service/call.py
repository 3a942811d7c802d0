"""A Craft call as the sink of its cloaks."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from deid.protector.v1 import protector_pb2

from protector_service.job import CloakSink, FinishedCloak


class Call(CloakSink):
    """Encodes cloaks in the engine's threads and yields the responses, in order, on the event loop that made it.

    It is wanted until its client has gone or its deadline has passed. Unbounded, so that a slow client never holds a
    computing thread up: whoever admits calls bounds the cloaks that they may ask for.
    """

    def __init__(
        self,
        respond: Callable[[FinishedCloak], protector_pb2.CraftResponse],
        *,
        seconds_left: float | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._respond = respond
        self._clock = clock
        self._deadline = None if seconds_left is None else clock() + seconds_left
        self._gone = False
        self._loop = asyncio.get_running_loop()
        self._came: asyncio.Queue[protector_pb2.CraftResponse | Exception | None] = asyncio.Queue()

    def leave(self) -> None:
        """The client has gone."""
        self._gone = True

    def wants(self) -> bool:
        """See `CloakSink.wants`."""
        return not self._gone and (self._deadline is None or self._clock() < self._deadline)

    def deliver(self, cloak: FinishedCloak) -> None:
        """See `CloakSink.deliver`."""
        self._put(self._respond(cloak))

    def end(self, error: Exception | None) -> None:
        """See `CloakSink.end`. An error is raised once all responses have been read."""
        self._put(error)

    def _put(self, came: protector_pb2.CraftResponse | Exception | None) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is left to read
            self._loop.call_soon_threadsafe(self._came.put_nowait, came)

    async def __aiter__(self) -> AsyncIterator[protector_pb2.CraftResponse]:
        while (came := await self._came.get()) is not None:
            if isinstance(came, Exception):
                raise came
            yield came
