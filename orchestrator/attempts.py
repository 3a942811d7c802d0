"""One question, and whether it is worth asking again when a call failed."""

from collections.abc import Awaitable, Callable

from orchestrator.circuit import Circuit
from orchestrator.errors import (
    CallError,
    OrchestratorError,
    QueryBudgetSpentError,
    ServiceChangedError,
    UnreachableServiceError,
    UnusableServiceError,
)

ATTEMPTS = 3  # of a call that fails without an answer between
OUTAGES = 5  # of its service that a call waits for without an answer between: a photo may be what brings it down


class Attempts:
    """How often a question failed since it was last answered."""

    def __init__(self, circuit: Circuit, give_up: Callable[[OrchestratorError], Awaitable[None]]) -> None:
        """`give_up` records a failure that is final."""
        self._circuit = circuit
        self._give_up = give_up
        self._failures = self._outages = 0

    def answered(self) -> None:
        """Something came: the next failure is the first again."""
        self._failures = self._outages = 0

    async def again(self, error: CallError | UnusableServiceError) -> bool:
        """Whether to ask once more; where the service does not answer, this waits until it does. False: it was recorded.

        Raises:
            UnusableServiceError: it is the service that failed, and not the question.
        """
        if isinstance(error, UnreachableServiceError):
            self._outages += 1
            if self._outages <= OUTAGES:
                await self._circuit.wait_until_back()
                return True
            await self._give_up(error)
            return False
        self._failures += 1
        if isinstance(error, CallError):
            passing = error.passing
        else:
            passing = not isinstance(error, QueryBudgetSpentError | ServiceChangedError)
        if passing and self._failures < ATTEMPTS:
            return True
        await self._give_up(error)
        if isinstance(error, UnusableServiceError):
            raise error
        return False
