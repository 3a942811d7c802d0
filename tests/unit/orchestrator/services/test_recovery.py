"""Waiting for a service that does not answer, on a clock that moves only when somebody waits."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from orchestrator.errors import (
    OrchestratorError,
    ServiceChangedError,
    ServiceGoneError,
    UnreachableServiceError,
    UnusableServiceError,
)
from orchestrator.services.recovery import RecoveryGate

NAME = "invader at 127.0.0.1:1"
AWAY = UnreachableServiceError(f"the {NAME} does not answer: nothing listens there")
CHANGED = ServiceChangedError("another label set")
KILLED = "the invader_service that was started ended (exit status -9): serving"
WAITING = f"the {NAME} does not answer; waiting for it for up to 60 s"


@dataclass
class Outage:
    """A service that is away for so many checks, or for ever, and the gate that waits for it."""

    checks: deque[OrchestratorError] = field(default_factory=deque)  # what the next ones raise; then all is well
    always: OrchestratorError | None = None
    seconds_of_a_check: float = 0
    ended: Callable[[], str | None] = lambda: None
    draw: float = 1
    now: float = 1000
    checked: int = 0
    at_a_time: int = 0
    slept: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def gate(self, *, outage_timeout: float = 60) -> RecoveryGate:
        return RecoveryGate(
            NAME,
            check=self.check,
            outage_timeout=outage_timeout,
            note=self.notes.append,
            ended=self.ended,
            clock=lambda: self.now,
            sleep=self.sleep,
            draw=lambda: self.draw,
        )

    async def check(self) -> None:
        self.checked += 1
        self.at_a_time += 1
        assert self.at_a_time == 1
        self.now += self.seconds_of_a_check
        await asyncio.sleep(0)
        self.at_a_time -= 1
        if self.always is not None:
            raise self.always
        if self.checks:
            raise self.checks.popleft()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def away_for(checks: int) -> Outage:
    return Outage(deque([AWAY] * checks))


async def test_a_service_that_answers_is_waited_for_in_silence() -> None:
    outage = away_for(0)
    await outage.gate().wait_until_back()
    assert (outage.checked, outage.slept, outage.notes) == (1, [], [])


async def test_a_service_that_comes_back_is_told_of_once_when_it_is_missed_and_once_when_it_is_back() -> None:
    outage = away_for(4)
    await outage.gate().wait_until_back()
    assert outage.notes == [WAITING, f"the {NAME} answers again after 3 s"]
    assert outage.checked == 5


@pytest.mark.parametrize("draw", [1.0, 0.5, 0.0])
async def test_the_waits_double_from_a_fifth_of_a_second_to_five_and_are_drawn_from_none_to_all_of_it(draw: float) -> None:
    outage = away_for(7)
    outage.draw = draw
    await outage.gate().wait_until_back()
    assert outage.slept == pytest.approx([draw * each for each in (0.2, 0.4, 0.8, 1.6, 3.2, 5, 5)])


async def test_a_service_that_stays_away_is_gone_when_the_timeout_ends_and_not_before() -> None:
    outage = Outage(always=AWAY)
    with pytest.raises(ServiceGoneError) as gone:
        await outage.gate(outage_timeout=60).wait_until_back()
    assert outage.now == pytest.approx(1060)
    assert outage.notes == [WAITING]
    assert str(gone.value).startswith(f"{AWAY}; it has not answered since ")
    assert str(gone.value).endswith(", for 60 s; what was observed is recorded, and the run can be continued")


async def test_the_time_that_checks_take_is_part_of_the_timeout() -> None:
    outage = Outage(always=AWAY, seconds_of_a_check=25)
    with pytest.raises(ServiceGoneError, match="for 76 s"):
        await outage.gate(outage_timeout=60).wait_until_back()
    assert outage.checked == 3


async def test_without_a_timeout_a_service_is_asked_once_more() -> None:
    outage = Outage(always=AWAY)
    with pytest.raises(ServiceGoneError, match="for 0 s"):
        await outage.gate(outage_timeout=0).wait_until_back()
    assert (outage.checked, outage.slept, outage.notes) == (1, [], [])


async def test_a_process_of_this_run_that_ended_is_not_waited_for() -> None:
    outage = Outage(always=AWAY, ended=lambda: KILLED)
    with pytest.raises(ServiceGoneError) as gone:
        await outage.gate().wait_until_back()
    assert (outage.checked, outage.slept, outage.notes) == (0, [], [])
    assert str(gone.value) == f"{KILLED}; what was observed is recorded, and the run can be continued"


async def test_a_process_that_ends_while_it_is_waited_for_is_noticed_at_the_next_look() -> None:
    outage = Outage(always=AWAY)
    outage.ended = lambda: KILLED if outage.checked == 2 else None
    with pytest.raises(ServiceGoneError, match="exit status -9"):
        await outage.gate().wait_until_back()
    assert outage.checked == 2


async def test_a_service_that_comes_back_as_another_stops_the_wait() -> None:
    outage = Outage(deque([AWAY, CHANGED]))
    with pytest.raises(ServiceChangedError, match="another label set"):
        await outage.gate().wait_until_back()
    assert outage.checked == 2


async def test_all_who_wait_wait_for_one_who_looks() -> None:
    outage = away_for(3)
    gate = outage.gate()
    await asyncio.gather(*(gate.wait_until_back() for _ in range(8)))
    assert outage.checked == 4
    assert len(outage.notes) == 2


async def test_all_who_wait_learn_that_it_is_gone() -> None:
    gate = Outage(always=AWAY).gate()
    ends = await asyncio.gather(*(gate.wait_until_back() for _ in range(8)), return_exceptions=True)
    assert [type(end) for end in ends] == [ServiceGoneError] * 8


@pytest.mark.parametrize("always", [AWAY, CHANGED])
async def test_a_verdict_is_for_good(always: UnusableServiceError) -> None:
    outage = Outage(always=always)
    gate = outage.gate()
    with pytest.raises(UnusableServiceError) as first:
        await gate.wait_until_back()
    checked, outage.always = outage.checked, None
    with pytest.raises(UnusableServiceError) as second:
        await gate.wait_until_back()
    assert second.value is first.value
    assert outage.checked == checked


async def test_the_next_outage_is_a_new_one() -> None:
    outage = away_for(1)
    gate = outage.gate()
    await gate.wait_until_back()
    outage.checks.append(AWAY)
    await gate.wait_until_back()
    assert outage.slept == [0.2, 0.2]
    assert [note.rpartition(" after ")[0] or note for note in outage.notes] == [WAITING, f"the {NAME} answers again"] * 2


class Held:
    """A check that is under way until the test ends it."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def __call__(self) -> None:
        self.begun.set()
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


async def test_one_who_leaves_does_not_disturb_the_others() -> None:
    check = Held()
    gate = RecoveryGate(NAME, check=check, outage_timeout=60, note=lambda note: None)
    leaving, staying = (asyncio.create_task(gate.wait_until_back()) for _ in range(2))
    await check.begun.wait()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    check.may_end.set()
    await staying
    assert not check.cancelled.is_set()


async def test_when_all_have_left_nobody_looks_any_more_and_the_next_one_begins_anew() -> None:
    check = Held()
    gate = RecoveryGate(NAME, check=check, outage_timeout=60, note=lambda note: None)
    waiting = [asyncio.create_task(gate.wait_until_back()) for _ in range(2)]
    await check.begun.wait()
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    check.may_end.set()
    await gate.wait_until_back()
    assert check.cancelled.is_set()
