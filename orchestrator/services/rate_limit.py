"""What an invader's rate limit turns away is asked again, until for too long nothing is let through."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from orchestrator.errors import OrchestratorError, RateLimitedError, ServiceGoneError
from orchestrator.outages import CONTINUE

MIN_WAIT_MS, MAX_WAIT_MS = 50, 60_000  # whatever the invader says
JITTER = 0.2  # at most so much of a wait is added at random: who was turned away together does not come back together

Answer = TypeVar("Answer")


class RateLimitRetry:
    """For one invader. Each question waits by itself; the patience is for all of them, and begins anew with every answer."""

    def __init__(
        self,
        *,
        patience: float,
        note: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`patience` is for how long nothing may be let through, in seconds.

        The first time that something is turned away is noted. `clock` gives seconds, `draw` a number from 0 to 1.
        """
        self._patience = patience
        self._note = note
        self._clock = clock
        self._sleep = sleep
        self._draw = draw
        self._asking = 0
        self._closed_since: float | None = None  # when the first was turned away since something was let through
        self._noted = False

    async def answer(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer to a question that is asked again whenever the rate limit turns it away.

        Raises:
            ServiceGoneError: nothing was let through for longer than the patience lasts.
            OrchestratorError: it was let through, and failed.
        """
        self._asking += 1
        try:
            while True:
                try:
                    answer = await ask()
                except RateLimitedError as error:
                    self._turned_away(error)
                    await self._sleep(self._wait_seconds(error))
                except OrchestratorError:
                    self._closed_since = None
                    raise
                else:
                    self._closed_since = None
                    return answer
        finally:
            self._asking -= 1
            if not self._asking:  # while nobody asks, nobody can be let through
                self._closed_since = None

    def _turned_away(self, error: RateLimitedError) -> None:
        now = self._clock()
        if self._closed_since is None:
            self._closed_since = now
        closed = now - self._closed_since
        if closed >= self._patience:
            since = datetime.now(UTC).astimezone() - timedelta(seconds=closed)
            raise ServiceGoneError(
                f"{error}; it has let nothing through since {since:%H:%M:%S}, for {closed:.0f} s: see to its rate limit, or "
                f"give more --outage-timeout; {CONTINUE}"
            ) from error
        if not self._noted:
            self._noted = True
            self._note(f"{error}; asking again when it says, for up to {self._patience:g} s in which it answers nothing")

    def _wait_seconds(self, error: RateLimitedError) -> float:
        told = min(max(error.retry_after_ms or 0, MIN_WAIT_MS), MAX_WAIT_MS) / 1000
        return told * (1 + JITTER * self._draw())
