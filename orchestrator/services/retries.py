"""One question, and whether it is worth asking again when a call failed."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from orchestrator.errors import (
    CallError,
    OrchestratorError,
    QueryBudgetSpentError,
    ServiceChangedError,
    ServiceGoneError,
    UnreachableServiceError,
    UnusableServiceError,
)
from orchestrator.services.recovery import RecoveryGate

ATTEMPTS = 4  # of a call that fails without an answer between
# Before the second attempt, and doubled before each further one; half of it is drawn, so that not all come back at once. The
# three waits take 3.5 s at least: a service that stumbles for a second or two costs no question.
FIRST_WAIT_SECONDS = 1.0
OUTAGES = 5  # of its service that a call waits for without an answer between: a photo may be what brings it down


class RetryPolicy:
    """How often a question failed since it was last answered."""

    def __init__(
        self,
        circuit: RecoveryGate,
        give_up: Callable[[OrchestratorError], Awaitable[None]],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`give_up` records a failure that is final; `draw` gives a number from 0 to 1."""
        self._recovery = circuit
        self._give_up = give_up
        self._sleep = sleep
        self._draw = draw
        self._failures = self._outages = 0

    def answered(self) -> None:
        """Something came: the next failure is the first again."""
        self._failures = self._outages = 0

    async def should_retry(self, error: CallError | UnusableServiceError) -> bool:
        """Whether to ask once more, after a wait: where the service does not answer, until it does. False: it was recorded.

        Raises:
            UnusableServiceError: it is the service that failed, and not the question.
        """
        if isinstance(error, UnreachableServiceError):
            self._outages += 1
            if self._outages <= OUTAGES:
                await self._recovery.wait_until_back()
                return True
            await self._give_up(error)
            return False
        if isinstance(error, ServiceGoneError):
            raise error
        self._failures += 1
        if isinstance(error, CallError):
            passing = error.passing
        else:
            passing = not isinstance(error, QueryBudgetSpentError | ServiceChangedError)
        if passing and self._failures < ATTEMPTS:
            longest = FIRST_WAIT_SECONDS * 2 ** (self._failures - 1)
            await self._sleep((1 + self._draw()) / 2 * longest)
            return True
        await self._give_up(error)
        if isinstance(error, UnusableServiceError):
            raise error
        return False
