"""Waits for a service that does not answer, and says when it is gone for good."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from orchestrator.errors import ServiceGoneError, UnreachableServiceError
from orchestrator.outages import CONTINUE

FIRST_PROBE_WAIT_SECONDS = 0.2
MAX_WAIT_SECONDS = 5.0


class RecoveryGate:
    """Where all calls to one service wait while it is unreachable; one task probes for all of them."""

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
        """Makes an open gate.

        Args:
            name: "protector at ADDRESS" or "invader at ADDRESS".
            check: Probes the service. It raises `UnreachableServiceError` while the service does not answer, and another
                error where waiting does not help.
            outage_timeout: Seconds for which the service may be unreachable.
            note: Is called when calls begin to wait, and when the service is back.
            ended: Says how the process of a service that was started for this run ended; None while it runs.
            clock: Gives seconds.
            sleep: Waits for so many seconds.
            draw: Gives a random number from 0 to 1.
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
        """Returns when the service answers again, unchanged. An error is final: every later call raises it at once.

        Raises:
            ServiceGoneError: the service did not answer within the outage timeout, or its process has ended.
            ServiceChangedError: the service is not what it was.
        """
        was_back = self._probing is not None and self._probing.done() and self._probing.exception() is None
        if self._probing is None or was_back:
            self._probing = asyncio.create_task(self._probe())
        probing = self._probing
        self._waiting += 1
        try:
            await asyncio.shield(probing)  # a call that is cancelled leaves the probing to the others
        finally:
            self._waiting -= 1
            if not self._waiting and probing.cancel():
                self._probing = None

    async def _probe(self) -> None:
        begun, clock_time = self._clock(), datetime.now(UTC).astimezone()
        noted = False
        longest = FIRST_PROBE_WAIT_SECONDS
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
