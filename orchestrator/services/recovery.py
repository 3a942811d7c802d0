"""What keeps a run from asking a service that does not answer: it waits until it does, and stops where it never will."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from orchestrator.errors import ServiceGoneError, UnreachableServiceError
from orchestrator.outages import CONTINUE

FIRST_WAIT_SECONDS = 0.2
MAX_WAIT_SECONDS = 5.0


class RecoveryGate:
    """For one service. Whoever finds that it does not answer waits here; one of them all looks whether it is back."""

    def __init__(
        self,
        name: str,
        *,
        check: Callable[[], Awaitable[None]],
        outage_timeout: float,
        note: Callable[[str], None],
        ended: Callable[[], str | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`name` is "protector at ADDRESS", or the invader's.

        `check` asks the service whether it is there and what it was; it raises `UnreachableServiceError` where it is not
        there, and anything else where waiting does not help. `outage_timeout` is how long it may be away, in seconds.
        `ended` says how the process of a service that was started for this run came to its end; None where it has not.
        `clock` gives seconds, `draw` a number from 0 to 1.
        """
        self._name = name
        self._check = check
        self._timeout = outage_timeout
        self._note = note
        self._ended = ended
        self._clock = clock
        self._sleep = sleep
        self._draw = draw
        self._waiting = 0
        self._probing: asyncio.Task[None] | None = None

    async def wait_until_back(self) -> None:
        """Returns when the service answers again, as the one it was.

        Raises:
            ServiceGoneError: it did not within the outage timeout, or its process has ended. From then on it is gone for
                good: nobody waits any more.
            ServiceChangedError: it is not what it was; this too is for good.
        """
        if self._probing is None or _found_it_back(self._probing):
            self._probing = asyncio.create_task(self._probe())
        probing = self._probing
        self._waiting += 1
        try:
            await asyncio.shield(probing)  # one who gives up waiting leaves it to the others
        finally:
            self._waiting -= 1
            if not self._waiting and probing.cancel():
                self._probing = None

    async def _probe(self) -> None:
        begun, clock_time = self._clock(), datetime.now(UTC).astimezone()
        noted = False
        longest = FIRST_WAIT_SECONDS
        while True:
            if (end := self._ended()) is not None:
                raise ServiceGoneError(f"{end}; {CONTINUE}")
            try:
                await self._check()
                break
            except UnreachableServiceError as error:
                away = self._clock() - begun
                if away >= self._timeout:
                    raise ServiceGoneError(
                        f"{error}; it has not answered since {clock_time:%H:%M:%S}, for {away:.0f} s; {CONTINUE}"
                    ) from error
            if not noted:
                self._note(f"the {self._name} does not answer; waiting for it for up to {self._timeout:g} s")
                noted = True
            await self._sleep(min(self._draw() * longest, self._timeout - away))
            longest = min(2 * longest, MAX_WAIT_SECONDS)
        if noted:
            self._note(f"the {self._name} answers again after {self._clock() - begun:.0f} s")


def _found_it_back(probing: asyncio.Task[None]) -> bool:
    return probing.done() and probing.exception() is None
