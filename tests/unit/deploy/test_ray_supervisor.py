"""A service that ends is started again, less and less often, until its supervisor is told to stop."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from deploy.ray.supervisor import FIRST_PAUSE, LONGEST_PAUSE, POLL_SECONDS, STEADY_SECONDS, Supervisor
from orchestrator.errors import OrchestratorError

KILLED = "it was killed"


@dataclass
class FakeChild:
    """A service that runs for so many looks at it."""

    address: str
    looks: float

    @property
    def ended(self) -> Callable[[], str | None]:
        return self._look

    def _look(self) -> str | None:
        self.looks -= 1
        return KILLED if self.looks < 0 else None


@dataclass
class Scene:
    """A supervisor, whose pauses take no time, and what it does."""

    looks: float = 3  # that each service lives
    refusals: int = 0  # of the first starts
    time: float = 0.0
    seen: list[str | None] = field(default_factory=list)  # its address, at each look
    pauses: list[float] = field(default_factory=list)  # before a service is started again
    notes: list[str] = field(default_factory=list)
    opened: int = 0
    closed: int = 0
    starts: int = 4  # after which the test has seen enough
    looked: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.supervisor = Supervisor(self.open, note=self.notes.append, pause=self.pause, clock=lambda: self.time)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[FakeChild]:
        if self.opened == self.starts:
            raise asyncio.CancelledError
        self.opened += 1
        if self.opened <= self.refusals:
            raise OrchestratorError("it did not start")
        try:
            yield FakeChild(f"127.0.0.1:{self.opened}", self.looks)
        finally:
            self.closed += 1

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.time += seconds
        if seconds == POLL_SECONDS:
            self.seen.append(self.supervisor.address)
            self.looked.set()
        else:
            assert self.supervisor.address is None
            self.pauses.append(seconds)

    async def run(self) -> None:
        with pytest.raises(asyncio.CancelledError):
            await self.supervisor.run()


async def test_a_service_that_ends_is_started_again_at_its_new_address() -> None:
    scene = Scene(starts=2)
    await scene.run()
    assert scene.seen == ["127.0.0.1:1"] * 3 + ["127.0.0.1:2"] * 3
    assert scene.notes == [KILLED, KILLED]
    assert (scene.supervisor.ends, scene.supervisor.last_end) == (2, KILLED)


async def test_one_that_does_not_start_is_tried_again_and_told_of() -> None:
    scene = Scene(refusals=2, starts=3)
    await scene.run()
    assert scene.notes == ["it did not start", "it did not start", KILLED]
    assert scene.seen == ["127.0.0.1:3"] * 3


async def test_the_pauses_before_starts_grow_to_a_limit() -> None:
    scene = Scene(starts=10)
    await scene.run()
    assert scene.pauses[:4] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE, 8 * FIRST_PAUSE]
    assert scene.pauses[-1] == LONGEST_PAUSE


async def test_one_that_ran_for_long_is_started_again_at_once() -> None:
    scene = Scene(looks=STEADY_SECONDS / POLL_SECONDS + 1)
    await scene.run()
    assert scene.pauses == [FIRST_PAUSE] * 4


async def test_where_it_is_told_to_stop_the_service_is_stopped_and_not_started_again() -> None:
    scene = Scene(looks=float("inf"))
    running = asyncio.create_task(scene.run())
    await scene.looked.wait()
    running.cancel()
    await running
    assert (scene.opened, scene.closed) == (1, 1)
    assert scene.supervisor.address is None
    assert scene.notes == []
