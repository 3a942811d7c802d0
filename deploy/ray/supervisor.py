"""Keeps one service running: what ends is started again."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from orchestrator.errors import OrchestratorError

POLL_SECONDS = 0.2  # between looks at the process
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds before a start, which doubles with every end
STEADY_SECONDS = 120.0  # after which an end is not one more of a row


class Child(Protocol):
    """A service that listens; `orchestrator.services.children.Endpoint` is one."""

    @property
    def address(self) -> str: ...

    @property
    def ended(self) -> Callable[[], str | None]:
        """Says how its process ended; None while it runs."""
        ...


class Supervisor:
    """Runs one service after another, as long as `run` is not cancelled."""

    def __init__(
        self,
        open_child: Callable[[], AbstractAsyncContextManager[Child]],
        *,
        note: Callable[[str], None],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Starts nothing yet.

        Args:
            open_child: starts the service, and ends it with its context.
            note: is told how a service ended.
            pause: waits for so many seconds.
            clock: gives seconds.
        """
        self.address: str | None = None  # while a service listens
        self.ends = 0  # of services that were not told to
        self.last_end: str | None = None  # how it was
        self._open_child = open_child
        self._note = note
        self._pause = pause
        self._clock = clock

    async def run(self) -> None:
        """Until it is cancelled, by which the service is told to stop, and waited for."""
        seconds = FIRST_PAUSE
        while True:
            began = self._clock()
            self.last_end = await self._one()
            self.ends += 1
            self._note(self.last_end)
            if self._clock() - began >= STEADY_SECONDS:
                seconds = FIRST_PAUSE
            await self._pause(seconds)
            seconds = min(2 * seconds, LONGEST_PAUSE)

    async def _one(self) -> str:
        """Runs a service until it ends; returns how."""
        try:
            async with self._open_child() as child:
                self.address = child.address
                try:
                    while (how := child.ended()) is None:
                        await self._pause(POLL_SECONDS)
                finally:
                    self.address = None
        except (OrchestratorError, OSError) as error:  # it did not start
            return str(error)
        return how
