"""How often a question that fails is asked, and what is waited between, on a clock that moves only when somebody waits."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from orchestrator.errors import (
    CallError,
    OrchestratorError,
    QueryBudgetSpentError,
    ServiceChangedError,
    ServiceGoneError,
    UnusableServiceError,
)
from orchestrator.services.recovery import RecoveryGate
from orchestrator.services.retries import ATTEMPTS, RetryPolicy

STUMBLED = CallError("invader at 127.0.0.1:1: INTERNAL: hiccup", passing=True)
FINAL = CallError("invader at 127.0.0.1:1: NOT_FOUND: no such model", passing=False)
GONE = ServiceGoneError("invader at 127.0.0.1:1: at most 2 queries a second; it has let nothing through")


async def is_there() -> None:
    """A service that answers."""


@dataclass
class Asked:
    """A question, and what became of it."""

    draw: float = 0
    now: float = 1000
    slept: list[float] = field(default_factory=list)
    recorded: list[OrchestratorError] = field(default_factory=list)

    def attempts(self) -> RetryPolicy:
        circuit = RecoveryGate("invader at 127.0.0.1:1", check=is_there, outage_timeout=60, note=lambda _: None)
        return RetryPolicy(circuit, self.record, sleep=self.sleep, draw=lambda: self.draw)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    async def record(self, error: OrchestratorError) -> None:
        self.recorded.append(error)


async def times_asked(attempts: RetryPolicy, fails: Callable[[], OrchestratorError | None]) -> int:
    """How often a question is asked until it is answered or given up."""
    asked = 1
    while (error := fails()) is not None:
        assert isinstance(error, CallError | UnusableServiceError)
        if not await attempts.should_retry(error):
            break
        asked += 1
    return asked


@pytest.mark.parametrize(("draw", "waits"), [(0.0, [0.5, 1, 2]), (0.5, [0.75, 1.5, 3]), (1.0, [1, 2, 4])])
async def test_the_waits_double_and_half_of_each_is_drawn(draw: float, waits: list[float]) -> None:
    question = Asked(draw)
    assert await times_asked(question.attempts(), lambda: STUMBLED) == ATTEMPTS
    assert question.slept == waits
    assert question.recorded == [STUMBLED]


@pytest.mark.parametrize("seconds", [0.5, 2.0, 3.4])
async def test_a_service_that_stumbles_for_seconds_costs_no_question_whatever_is_drawn(seconds: float) -> None:
    question = Asked(draw=0)
    await times_asked(question.attempts(), lambda: STUMBLED if question.now < 1000 + seconds else None)
    assert question.recorded == []


async def test_after_an_answer_the_waits_begin_anew() -> None:
    question = Asked(draw=1)
    attempts = question.attempts()
    for _ in range(2):
        assert await attempts.should_retry(STUMBLED)
    attempts.answered()
    assert await attempts.should_retry(STUMBLED)
    assert question.slept == [1, 2, 1]


async def test_what_asking_again_cannot_help_is_recorded_without_a_wait() -> None:
    question = Asked()
    assert await times_asked(question.attempts(), lambda: FINAL) == 1
    assert (question.slept, question.recorded) == ([], [FINAL])


@pytest.mark.parametrize("error", [QueryBudgetSpentError("spent"), ServiceChangedError("another"), GONE])
async def test_a_service_that_will_not_do_ends_it_without_a_wait(error: UnusableServiceError) -> None:
    question = Asked()
    with pytest.raises(type(error)) as raised:
        await question.attempts().should_retry(error)
    assert raised.value is error
    assert question.slept == []


async def test_a_service_that_is_gone_is_no_failure_of_the_question() -> None:
    question = Asked()
    with pytest.raises(ServiceGoneError):
        await question.attempts().should_retry(GONE)
    assert question.recorded == []
