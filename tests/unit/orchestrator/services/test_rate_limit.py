"""Asking an invader that limits the rate, on a clock that moves only when somebody waits."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field

import pytest

from orchestrator.errors import CallError, RateLimitedError, ServiceGoneError
from orchestrator.services.rate_limit import JITTER, RateLimitRetry

NAME = "invader at 127.0.0.1:1"
PATIENCE = 60.0
FAILED = CallError(f"{NAME}: INTERNAL: out of memory", passing=True)


@dataclass
class Limited:
    """An invader that lets a question through at certain times, the admission to it, and a clock."""

    opens: list[float] = field(default_factory=list)  # a question each, from then on
    retry_after_ms: int | None = 1000
    fails: bool = False  # where it lets one through
    draw: float = 0
    now: float = 0
    asked: int = 0
    slept: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    asleep: asyncio.Event = field(default_factory=asyncio.Event)
    _sleeping: list[tuple[float, int, asyncio.Event]] = field(default_factory=list)  # until when, and in which order

    def __post_init__(self) -> None:
        self.admission = RateLimitRetry(
            patience=PATIENCE, note=self.notes.append, clock=lambda: self.now, sleep=self.sleep, draw=lambda: self.draw
        )

    async def question(self) -> str:
        self.asked += 1
        if not self.opens or self.opens[0] > self.now:
            raise RateLimitedError(f"{NAME}: at most 2 queries a second", retry_after_ms=self.retry_after_ms)
        self.opens.pop(0)
        if self.fails:
            raise FAILED
        return "answer"

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.asleep.set()
        sleeper = self.now + seconds, len(self.slept), asyncio.Event()
        self._sleeping.append(sleeper)
        try:
            await sleeper[-1].wait()
        finally:
            self._sleeping.remove(sleeper)

    async def run(self, *questions: Awaitable[str]) -> list[str | BaseException]:
        """What comes of questions that are asked together; when all of them sleep the clock moves to when the next wakes."""
        together = asyncio.gather(*questions, return_exceptions=True)
        while not together.done():
            for _ in range(3 * len(questions)):  # all that can go on does
                await asyncio.sleep(0)
            if self._sleeping:
                self.now, _, wakes = min(self._sleeping, key=lambda sleeper: sleeper[:2])
                wakes.set()
        return await together

    def ask(self, times: int = 1) -> Awaitable[list[str | BaseException]]:
        return self.run(*(self.admission.answer(self.question) for _ in range(times)))


async def test_what_is_let_through_at_once_is_not_spoken_of() -> None:
    invader = Limited(opens=[0])
    assert await invader.ask() == ["answer"]
    assert (invader.slept, invader.notes) == ([], [])


async def test_what_is_turned_away_is_asked_again_when_the_invader_says_and_this_is_told_once() -> None:
    invader = Limited(opens=[3, 3, 10])
    assert await invader.ask(3) == ["answer"] * 3
    assert set(invader.slept) == {1}
    assert invader.notes == [
        f"{NAME}: at most 2 queries a second; asking again when it says, for up to 60 s in which it answers nothing"
    ]


async def test_an_invader_that_lets_nothing_through_is_gone_when_patience_ends_and_not_before() -> None:
    invader = Limited()
    answers = await invader.ask(8)
    assert {type(answer) for answer in answers} == {ServiceGoneError}
    assert invader.now == PATIENCE
    assert str(answers[0]).startswith(f"{NAME}: at most 2 queries a second; it has let nothing through since ")
    assert str(answers[0]).endswith(
        ", for 60 s: see to its rate limit, or give more --outage-timeout; what was observed is recorded, and the run can "
        "be continued"
    )
    assert len(invader.notes) == 1


async def test_who_waits_longer_than_the_patience_is_answered_where_now_and_then_one_is_let_through() -> None:
    invader = Limited(opens=[50.0 * turn for turn in range(1, 13)], retry_after_ms=10_000)
    assert await invader.ask(12) == ["answer"] * 12
    assert invader.now >= 12 * 50 > PATIENCE


async def test_what_is_let_through_and_fails_is_let_through() -> None:
    invader = Limited(opens=[50.0 * turn for turn in range(1, 5)], fails=True)
    assert await invader.ask(4) == [FAILED] * 4


async def test_time_in_which_nobody_asks_does_not_count() -> None:
    invader = Limited()
    waiting = asyncio.ensure_future(invader.admission.answer(invader.question))
    await invader.asleep.wait()
    waiting.cancel()  # its subject is not to be worked on any more
    await asyncio.gather(waiting, return_exceptions=True)
    invader.now = 10 * PATIENCE
    invader.opens = [invader.now + 5]
    assert await invader.ask() == ["answer"]


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        pytest.param(None, 0.05, id="nothing"),
        pytest.param(0, 0.05, id="none"),
        pytest.param(-1, 0.05, id="never"),
        pytest.param(500, 0.5, id="a time"),
        pytest.param(3_600_000, 60, id="an hour"),
    ],
)
@pytest.mark.parametrize("draw", [0.0, 0.5, 1.0])
async def test_nobody_comes_back_earlier_than_told_nor_all_at_once(told: int | None, seconds: float, draw: float) -> None:
    invader = Limited(opens=[0.01], retry_after_ms=told, draw=draw)
    assert await invader.ask() == ["answer"]
    assert invader.slept == [pytest.approx(seconds * (1 + JITTER * draw))]
    assert invader.asked == 2
