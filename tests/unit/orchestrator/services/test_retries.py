"""When a call that failed is made again, on a clock that moves only when somebody waits."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from orchestrator.errors import (
    CallError,
    NoFaceError,
    OrchestratorError,
    QueryBudgetSpentError,
    ServiceChangedError,
    ServiceGoneError,
    ThrottledError,
    UnreachableServiceError,
    UnusableServiceError,
)
from orchestrator.services.recovery import RecoveryGate
from orchestrator.services.retries import ATTEMPTS, JITTER, OUTAGES, RetryPolicy

NAME = "invader at 127.0.0.1:1"
OUTAGE_TIMEOUT = 60.0
STUMBLED = CallError(f"{NAME}: INTERNAL: hiccup", transient=True)
FINAL = CallError(f"{NAME}: NOT_FOUND: no such model", transient=False)
CONTRADICTION = UnusableServiceError(f"{NAME}: expected 5 distinct candidates, got 4")
UNREACHABLE = UnreachableServiceError(f"the {NAME} does not answer: nothing listens there")


async def is_there() -> None:
    """A service that answers."""


@dataclass
class Clock:
    """Moves when somebody sleeps, and a policy that goes by it."""

    draw: float = 0
    now: float = 1000
    slept: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    asleep: asyncio.Event = field(default_factory=asyncio.Event)
    _sleeping: list[tuple[float, int, asyncio.Event]] = field(default_factory=list)  # until when, and in which order

    def policy(self, *, check: Callable[[], Awaitable[None]] = is_there) -> RetryPolicy:
        gate = RecoveryGate(NAME, check=check, outage_timeout=OUTAGE_TIMEOUT, note=self.notes.append)
        return RetryPolicy(
            gate,
            outage_timeout=OUTAGE_TIMEOUT,
            note=self.notes.append,
            clock=lambda: self.now,
            sleep=self.sleep,
            draw=lambda: self.draw,
        )

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.asleep.set()
        sleeper = self.now + seconds, len(self.slept), asyncio.Event()
        self._sleeping.append(sleeper)
        try:
            await sleeper[-1].wait()
        finally:
            self._sleeping.remove(sleeper)

    async def run(self, *calls: Awaitable[str]) -> list[str | BaseException]:
        """What comes of calls that are made together; when all of them sleep the clock moves to when the next wakes."""
        together = asyncio.gather(*calls, return_exceptions=True)
        while not together.done():
            for _ in range(5 * len(calls)):  # all that can go on does
                await asyncio.sleep(0)
            if self._sleeping:
                self.now, _, wakes = min(self._sleeping, key=lambda sleeper: sleeper[:2])
                wakes.set()
        return await together


@dataclass
class Failing:
    """A call that fails as it is told to, and is then answered; it counts how often it was made."""

    clock: Clock
    fails: Callable[[int], OrchestratorError | None]  # by how often it was made
    made: int = 0

    async def __call__(self) -> str:
        self.made += 1
        if (error := self.fails(self.made)) is not None:
            raise error
        return "answer"

    async def end(self) -> str | BaseException:
        """What comes of it."""
        (end,) = await self.clock.run(self.clock.policy().call(self))
        return end


# Calls that fail


@pytest.mark.parametrize(("draw", "waits"), [(0.0, [0.5, 1, 2]), (0.5, [0.75, 1.5, 3]), (1.0, [1, 2, 4])])
@pytest.mark.parametrize("error", [STUMBLED, CONTRADICTION])
async def test_the_waits_double_and_half_of_each_is_drawn(draw: float, waits: list[float], error: OrchestratorError) -> None:
    call = Failing(Clock(draw), lambda _: error)
    assert await call.end() is error
    assert (call.made, call.clock.slept) == (ATTEMPTS, waits)


@pytest.mark.parametrize("seconds", [0.5, 2.0, 3.4])
async def test_a_service_that_stumbles_for_seconds_costs_no_call_whatever_is_drawn(seconds: float) -> None:
    clock = Clock(draw=0)
    assert await Failing(clock, lambda _: STUMBLED if clock.now < 1000 + seconds else None).end() == "answer"


async def test_after_a_part_of_the_answer_the_waits_begin_anew() -> None:
    clock, missing = Clock(draw=1), [3]

    async def in_parts() -> str:
        if len(clock.slept) >= 2:  # nothing comes at first
            missing[0] -= 1
        if missing[0]:
            raise STUMBLED
        return "all"

    assert await clock.run(clock.policy().call(in_parts, missing=lambda: missing[0])) == ["all"]
    assert clock.slept == [1, 2, 1, 1]


@pytest.mark.parametrize(
    "error",
    [FINAL, QueryBudgetSpentError("spent"), ServiceChangedError("another"), ServiceGoneError("gone"), NoFaceError("none")],
)
async def test_what_asking_again_cannot_help_ends_at_once(error: OrchestratorError) -> None:
    call = Failing(Clock(), lambda _: error)
    assert await call.end() is error
    assert (call.made, call.clock.slept) == (1, [])


# Services that are away


async def test_a_call_that_its_service_is_away_for_is_made_again_when_it_is_back() -> None:
    checked: list[int] = []

    async def check() -> None:
        checked.append(call.made)

    clock = Clock()
    call = Failing(clock, lambda made: UNREACHABLE if made < 3 else None)
    assert await clock.run(clock.policy(check=check).call(call)) == ["answer"]
    assert checked == [1, 2]
    assert clock.slept == []


async def test_a_call_that_brings_its_service_down_every_time_fails_alone() -> None:
    call = Failing(Clock(), lambda _: UNREACHABLE)
    end = await call.end()
    assert isinstance(end, CallError)
    assert (str(end), end.transient, call.made) == (str(UNREACHABLE), False, OUTAGES + 1)


@pytest.mark.parametrize("verdict", [ServiceGoneError("gone"), ServiceChangedError("another")])
async def test_a_service_that_does_not_come_back_ends_the_call(verdict: UnusableServiceError) -> None:
    async def check() -> None:
        raise verdict

    clock = Clock()
    call = Failing(clock, lambda _: UNREACHABLE)
    assert await clock.run(clock.policy(check=check).call(call)) == [verdict]
    assert call.made == 1


# Services that throttle


@dataclass
class Throttling(Clock):
    """A service that lets a call through at certain times, and the policy for it."""

    opens: list[float] = field(default_factory=list)  # a call each, from then on
    retry_after_ms: int | None = 1000
    fails: bool = False  # where it lets one through
    now: float = 0
    made: int = 0

    def __post_init__(self) -> None:
        self.retries = self.policy()

    async def once(self) -> str:
        self.made += 1
        if not self.opens or self.opens[0] > self.now:
            raise ThrottledError(f"{NAME}: at most 2 queries a second", retry_after_ms=self.retry_after_ms)
        self.opens.pop(0)
        if self.fails:
            raise FINAL
        return "answer"

    def ask(self, times: int = 1) -> Awaitable[list[str | BaseException]]:
        return self.run(*(self.retries.call(self.once) for _ in range(times)))


async def test_what_is_let_through_at_once_is_not_spoken_of() -> None:
    service = Throttling(opens=[0])
    assert await service.ask() == ["answer"]
    assert (service.slept, service.notes) == ([], [])


async def test_what_is_throttled_is_asked_again_when_the_service_says_and_this_is_told_once() -> None:
    service = Throttling(opens=[3, 3, 10])
    assert await service.ask(3) == ["answer"] * 3
    assert set(service.slept) == {1}
    assert service.notes == [
        f"{NAME}: at most 2 queries a second; asking again when it says, for up to 60 s in which it answers nothing"
    ]


async def test_a_service_that_lets_nothing_through_is_gone_when_the_timeout_ends_and_not_before() -> None:
    service = Throttling()
    answers = await service.ask(8)
    assert {type(answer) for answer in answers} == {ServiceGoneError}
    assert service.now == OUTAGE_TIMEOUT
    assert str(answers[0]).startswith(f"{NAME}: at most 2 queries a second; it has let nothing through since ")
    assert str(answers[0]).endswith(
        ", for 60 s: see to its load or its rate limit, or give more --outage-timeout; what was observed is recorded, and "
        "the run can be continued"
    )
    assert len(service.notes) == 1


async def test_who_waits_longer_than_the_timeout_is_answered_where_now_and_then_one_is_let_through() -> None:
    service = Throttling(opens=[50.0 * turn for turn in range(1, 13)], retry_after_ms=10_000)
    assert await service.ask(12) == ["answer"] * 12
    assert service.now >= 12 * 50 > OUTAGE_TIMEOUT


async def test_a_call_in_parts_goes_on_where_now_and_then_a_part_is_let_through() -> None:
    service, missing = Throttling(opens=[50.0 * turn for turn in range(1, 5)], retry_after_ms=10_000), [4]

    async def in_parts() -> str:
        while missing[0]:
            await service.once()
            missing[0] -= 1
        return "all"

    assert await service.run(service.retries.call(in_parts, missing=lambda: missing[0])) == ["all"]
    assert service.now >= 4 * 50 > OUTAGE_TIMEOUT


async def test_what_is_let_through_and_fails_is_let_through() -> None:
    service = Throttling(opens=[50.0 * turn for turn in range(1, 5)], fails=True)
    assert await service.ask(4) == [FINAL] * 4


async def test_a_service_that_is_at_work_on_one_call_has_not_shut_out_the_others() -> None:
    service = Throttling()

    async def long() -> str:
        await service.sleep(10 * OUTAGE_TIMEOUT)
        service.opens = [service.now + 5]
        return "done"

    retries = service.retries
    assert await service.run(retries.call(long), retries.call(service.once)) == ["done", "answer"]


async def test_time_in_which_nobody_asks_does_not_count() -> None:
    service = Throttling()
    waiting = asyncio.ensure_future(service.retries.call(service.once))
    await service.asleep.wait()
    waiting.cancel()  # its subject is not to be worked on any more
    await asyncio.gather(waiting, return_exceptions=True)
    service.now = 10 * OUTAGE_TIMEOUT
    service.opens = [service.now + 5]
    assert await service.ask() == ["answer"]


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        pytest.param(None, 0.05, id="nothing"),
        pytest.param(0, 0.05, id="none"),
        pytest.param(500, 0.5, id="a time"),
        pytest.param(3_600_000, 60, id="an hour"),
    ],
)
@pytest.mark.parametrize("draw", [0.0, 0.5, 1.0])
async def test_nobody_comes_back_earlier_than_told_nor_all_at_once(told: int | None, seconds: float, draw: float) -> None:
    service = Throttling(opens=[0.01], retry_after_ms=told, draw=draw)
    assert await service.ask() == ["answer"]
    assert service.slept == [pytest.approx(seconds * (1 + JITTER * draw))]
    assert service.made == 2
