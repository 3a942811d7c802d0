"""Whether a call that failed is made again, and when: the only place that decides it."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
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
# Before the second attempt, and doubled before each further one; half of it is drawn, so that not all come back at once. The
# three waits take 3.5 s at least: a service that stumbles for a second or two costs no question.
FIRST_WAIT_SECONDS = 1.0
OUTAGES = 5  # of its service that a call waits for without an answer between: a photo may be what brings it down
MIN_THROTTLED_MS, MAX_THROTTLED_MS = 50, 60_000  # whatever the service says
JITTER = 0.2  # at most so much of such a wait is added at random: who was throttled together does not come back together

Answer = TypeVar("Answer")


class RetryPolicy:
    """For all calls of a run to one service, any number of them at a time.

    A call that fails is made a few times, one that its service is away for when it is back, and one that the service
    throttles (it is busy, or was asked too often) whenever the service says: throttled calls wait by themselves, and are
    given up when for too long the service has let none through.
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
        """`outage_timeout` is for how long nothing may be let through, in seconds.

        The first time that a call is throttled is noted. `clock` gives seconds, `draw` a number from 0 to 1.
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
        """The answer to a call that is made again for as long as that can help.

        Args:
            ask: Makes the call.
            missing: Of a call that is answered in parts, how many are still to come. Where some came before it failed, the
                failure counts as the first.

        Raises:
            CallError: the call failed for good, and others need not.
            UnusableServiceError: it is the service that failed.
            OrchestratorError: the call was answered by an error that is no failure, such as `NoFaceError`.
        """
        failures = outages = 0
        throttled_since: float | None = None
        while True:
            left = missing()
            try:
                with self._counted():
                    return await ask()
            except (CallError, UnusableServiceError) as error:
                if missing() < left:
                    failures = outages = 0
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

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._in_flight += 1
        try:
            yield
        except ThrottledError:
            raise
        except Exception:
            self._let_through = self._clock()
            raise
        else:
            self._let_through = self._clock()
        finally:
            self._in_flight -= 1

    async def _wait_until_let_through(self, error: ThrottledError, *, since: float) -> None:
        closed = self._clock() - max(since, self._let_through)
        # A service that is at work on another call of this run has let that one through.
        if closed >= self._timeout and not self._in_flight:
            began = datetime.now(UTC).astimezone() - timedelta(seconds=closed)
            raise ServiceGoneError(
                f"{error}; it has let nothing through since {began:%H:%M:%S}, for {closed:.0f} s: see to its load or its "
                f"rate limit, or give more --outage-timeout; {CONTINUE}"
            ) from error
        if not self._noted:
            self._noted = True
            self._note(f"{error}; asking again when it says, for up to {self._timeout:g} s in which it answers nothing")
        told = min(max(error.retry_after_ms or 0, MIN_THROTTLED_MS), MAX_THROTTLED_MS) / 1000
        await self._sleep(told * (1 + JITTER * self._draw()))
