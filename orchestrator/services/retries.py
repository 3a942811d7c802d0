"""Decides whether and when a failed call is made again; nothing else does."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from orchestrator.errors import (
    CallError,
    ServiceGoneError,
    ThrottledError,
    UnreachableServiceError,
    UnusableServiceError,
)
from orchestrator.outages import CONTINUE
from orchestrator.services.recovery import RecoveryGate

ATTEMPTS = 4  # of a call that fails without an answer between
# Before the second attempt; doubled before each further one. Half of it is random, so that not all calls come back at once.
# The three waits take at least 3.5 s: a service that fails for a second or two costs no call.
FIRST_WAIT_SECONDS = 1.0
OUTAGES = 5  # that a call waits for without an answer between: its photo may be what brings the service down
MIN_THROTTLED_MS, MAX_THROTTLED_MS = 50, 60_000  # whatever the service says
JITTER = 0.2  # share of such a wait that is added at most, so that calls that were throttled together come back apart

RECONNECT_SECONDS = 1.5  # in which a channel whose connection broke connects again; until then calls fail at once

Answer = TypeVar("Answer")


async def once_more(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Makes a call before a run, and makes it again if a connection broke; nobody waits for a service that is not there."""
    try:
        return await ask()
    except UnreachableServiceError:
        await asyncio.sleep(RECONNECT_SECONDS)
        return await ask()


class RetryPolicy:
    """The retry policy for all calls of a run to one service, any number of which are in flight at a time.

    * A call that fails is made a few times in all.
    * A call whose service is unreachable is made again when the service is back.
    * A call that is throttled, because the service is busy or limits the rate, is made again when the service says, until
      the service has let no call through for the outage timeout.
    """

    def __init__(
        self,
        recovery: RecoveryGate,
        *,
        outage_timeout: float,
        note: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`outage_timeout` is in seconds; `clock` gives seconds, `draw` a number from 0 to 1.

        `note` is called when a call is throttled for the first time.
        """
        self._recovery = recovery
        self._timeout = outage_timeout
        self._note = note
        self._clock = clock
        self._sleep = sleep
        self._draw = draw
        self._in_flight = 0
        self._let_through = clock()  # when a call was last let through
        self._noted = False

    async def call(self, ask: Callable[[], Awaitable[Answer]], *, missing: Callable[[], int] = lambda: 0) -> Answer:
        """Makes a call until it is answered, or another attempt cannot help.

        Args:
            ask: Makes the call once.
            missing: The number of parts of the answer that are still to come, for a call that is answered in parts. After
                an attempt that brought some, the attempts are counted anew.

        Raises:
            CallError: the call failed for good; others may succeed.
            UnusableServiceError: the service failed.
            OrchestratorError: the answer is an error that is not a failure, such as `NoFaceError`.
        """
        failures = outages = 0
        throttled_since: float | None = None
        while True:
            left = missing()
            try:
                return await self._attempt(ask)
            except (CallError, UnusableServiceError) as error:
                if missing() < left:
                    failures = outages = 0
                    throttled_since, self._let_through = None, self._clock()
                if isinstance(error, ThrottledError):
                    throttled_since = self._clock() if throttled_since is None else throttled_since
                    await self._wait_until_let_through(error, since=throttled_since)
                elif isinstance(error, UnreachableServiceError):
                    outages += 1
                    if outages > OUTAGES:
                        raise CallError(str(error), transient=False) from error
                    await self._recovery.wait_until_back()
                else:
                    failures += 1
                    if not error.transient or failures >= ATTEMPTS:
                        raise
                    await self._sleep((1 + self._draw()) / 2 * FIRST_WAIT_SECONDS * 2 ** (failures - 1))

    async def _attempt(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        let_through = True
        self._in_flight += 1
        try:
            return await ask()
        except (ThrottledError, asyncio.CancelledError):
            let_through = False
            raise
        finally:
            self._in_flight -= 1
            if let_through:
                self._let_through = self._clock()

    async def _wait_until_let_through(self, error: ThrottledError, *, since: float) -> None:
        closed = self._clock() - max(since, self._let_through)
        # A service that is working on another call of this run has let that call through.
        if closed >= self._timeout and not self._in_flight:
            began = datetime.now(UTC).astimezone() - timedelta(seconds=closed)
            raise ServiceGoneError(
                f"{error}; it has let nothing through since {began:%H:%M:%S}, for {closed:.0f} s: see to its load or its "
                f"rate limit, or give more --outage-timeout; {CONTINUE}"
            ) from error
        if not self._noted:
            self._noted = True
            self._note(f"{error}; asking again when it says, for up to {self._timeout:g} s in which it answers nothing")
        wait_ms = min(max(error.retry_after_ms or 0, MIN_THROTTLED_MS), MAX_THROTTLED_MS)
        await self._sleep(wait_ms / 1000 * (1 + JITTER * self._draw()))
