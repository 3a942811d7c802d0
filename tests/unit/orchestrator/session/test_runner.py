"""Who asks for the next subject, and how often."""

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import pytest

from orchestrator.session import runner
from orchestrator.session.runner import Runner, StopDecision
from orchestrator.store.records import SubjectStatus

T = TypeVar("T")

SUBJECTS = 8
SECONDS = 30.0  # until a test that hangs fails


class FakeLeases:
    """Leases of one orchestrator; the first subjects of the draw are wanted."""

    def __init__(self) -> None:
        self.claims = 0
        self.claimed = asyncio.Event()
        self.free: list[str] = []
        self.done = 0

    def draw(self, identities: tuple[str, ...]) -> None:
        self.free = list(identities[:SUBJECTS])

    def reopen_short(self, *, per_probe: int) -> None:
        pass

    def claim(self, *, wanted: int) -> str | None:
        self.claims += 1
        self.claimed.set()
        return self.free.pop(0) if self.free else None

    def outstanding(self, *, wanted: int) -> int:
        return wanted - self.done

    def release(self, identity: str | None = None) -> None:
        self.done += identity is not None


class FakeObserver:
    """Is done with a subject when a test says so."""

    def __init__(self) -> None:
        self.ends: dict[str, asyncio.Event] = {}
        self.all_begun = asyncio.Event()

    async def observe(self, identity: str) -> SubjectStatus:
        self.ends[identity] = asyncio.Event()
        if len(self.ends) == SUBJECTS:
            self.all_begun.set()
        await self.ends[identity].wait()
        return SubjectStatus.SUBJECT


async def nothing() -> None:
    pass


async def run(call: Callable[[], T]) -> T:
    return call()


async def test_one_asks_for_all_that_have_no_subject_when_others_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them did, with every end: the last subjects of many replicas waited for the answers."""
    monkeypatch.setattr(runner, "POLL_SECONDS", SECONDS)
    leases, observer = FakeLeases(), FakeObserver()
    counts = SimpleNamespace(subjects=0, observations=0, non_mated=0)
    store = SimpleNamespace(leases=leases, observation_counts=lambda: counts, without_waiting=nullcontext)
    plan = SimpleNamespace(seed=0, subjects=SUBJECTS, until_halfwidth=None, grid=SimpleNamespace(observations_per_probe=1))
    context = SimpleNamespace(
        plan=plan,
        resolved=SimpleNamespace(eligible=tuple("abcdefghij")),
        store=store,
        journal=SimpleNamespace(run=run),
        progress=SimpleNamespace(stands_at=lambda **_: None, note=lambda _: None),
    )
    others = cast("Any", SimpleNamespace(search=nothing))
    running = asyncio.create_task(
        Runner(cast("Any", context), cast("Any", observer), others, others, subjects_in_flight=lambda: SUBJECTS).run()
    )
    async with asyncio.timeout(SECONDS):
        await observer.all_begun.wait()
        for end in observer.ends.values():
            leases.claimed.clear()
            end.set()
            await leases.claimed.wait()
        assert await running == StopDecision(SUBJECTS, decided=True)
    assert leases.claims == 2 * SUBJECTS
