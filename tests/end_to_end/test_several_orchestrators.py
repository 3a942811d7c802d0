"""Three orchestrators on one run, which share a PostgreSQL store and nothing else."""

import asyncio
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from orchestrator.session.classifying import CLASSIFICATIONS_IN_FLIGHT
from tests.support.fakes import FakeInvader, FakeProtector, Shown
from tests.support.faults.observed import Observed, differences, observed
from tests.support.figure import Tell
from tests.support.plans import write_faces
from tests.support.postgres import Cluster

IDENTITIES = tuple(f"n{number:03d}" for number in range(30))
SUBJECTS, SUBJECTS_IN_FLIGHT, KILLED_AFTER = 24, 4, 40  # questions
CLOAKS = SUBJECTS * 5  # none, noise and BIM at two budgets
LATENCY_SECONDS = 0.2  # of an invader's answer: what several orchestrators can wait for at the same time


class SlowInvader(FakeInvader):
    """One that takes its time, and tells when it was asked so many questions."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.busy = asyncio.Event()

    async def Classify(self, request, context):  # type: ignore[no-untyped-def] # noqa: N802
        if self.asked.total() >= KILLED_AFTER:
            self.busy.set()
        await asyncio.sleep(LATENCY_SECONDS)
        return await super().Classify(request, context)


class Shared:
    """A data set, two services, and orchestrators with a run folder each: as on machines of their own."""

    def __init__(self, root: Path, store: str) -> None:
        self.protector = FakeProtector({"facenet": IDENTITIES})
        self.invader = SlowInvader({"facenet": IDENTITIES}, rank=lambda shown, _: 1 + int(shown.identity[1:]) % 3)
        self.store = store
        self._root = root
        self._faces = write_faces(root / "faces", IDENTITIES)

    def folder(self, machine: int) -> Path:
        return self._root / f"machine-{machine}" / "run"

    async def start(self, machine: int, protector: str, invader: str) -> asyncio.subprocess.Process:
        self.folder(machine).parent.mkdir(exist_ok=True)
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "orchestrator", "evaluate", "--faces", str(self._faces), "--no-report"),
            *("--run", str(self.folder(machine)), "--store", self.store, "--protector", protector, "--invader", invader),
            *("--subjects", str(SUBJECTS), "--source-models", "facenet", "--target-models", "facenet"),
            *("--methods", "bim", "--epsilons", "4,8", "--k", "1,2", "--conditions", "png"),
            *("--in-flight", str(SUBJECTS_IN_FLIGHT)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )

    async def evaluate(self, *, machines: int, kill: int | None = None) -> float:
        """Seconds until all that were not killed have ended well."""
        async with self.protector.serving() as protector, self.invader.serving() as invader:
            begun = time.monotonic()
            processes = [await self.start(machine, protector, invader) for machine in range(machines)]
            if kill is not None:
                await self.invader.busy.wait()
                processes[kill].kill()
            for machine, process in enumerate(processes):
                said, _ = await process.communicate()
                assert machine == kill or process.returncode == 0, said.decode()
        return time.monotonic() - begun

    def observed(self, machine: int) -> Observed:
        return observed(self.folder(machine), store=self.store)


@dataclass(frozen=True)
class Alone:
    """What one orchestrator has done, and how long it took."""

    shared: Shared
    seconds: float


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def alone(postgres: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Alone:
    shared = Shared(tmp_path_factory.mktemp("alone"), postgres.new_database())
    return Alone(shared, await shared.evaluate(machines=1))


@pytest.mark.thorough("orchestrator/")
async def test_three_do_what_one_does_and_one_that_is_killed_midway_is_made_up_for(
    alone: Alone, postgres: Cluster, tmp_path: Path, tell: Tell
) -> None:
    expected = alone.shared.observed(0)
    assert len(expected.answers) == CLOAKS

    together = Shared(tmp_path / "together", postgres.new_database())
    seconds_together = await together.evaluate(machines=3)
    assert asked_twice(together.invader.asked) == {}, "nobody died"
    assert asked_twice(together.protector.asked) == {}
    for machine in range(3):
        assert differences(together.observed(machine), expected) == []

    bereft = Shared(tmp_path / "bereft", postgres.new_database())
    seconds_bereft = await bereft.evaluate(machines=3, kill=1)
    for machine in (0, 2):
        assert differences(bereft.observed(machine), expected) == []
    assert sum(asked_twice(bereft.invader.asked).values()) <= CLASSIFICATIONS_IN_FLIGHT
    crafted = {(shown.identity, shown.source_model) for shown in asked_twice(bereft.protector.asked)}
    assert len(crafted) <= SUBJECTS_IN_FLIGHT, "its cloaks lie on the dead one's machine"
    tell(
        f"{CLOAKS} questions: one orchestrator {alone.seconds:.1f} s, three {seconds_together:.1f} s, three with one "
        f"killed {seconds_bereft:.1f} s"
    )


def asked_twice(asked: Counter[Shown]) -> dict[Shown, int]:
    return {shown: count - 1 for shown, count in asked.items() if count > 1}


async def test_another_run_under_the_same_name_is_refused_by_what_differs(alone: Alone, tmp_path: Path) -> None:
    other = Shared(tmp_path, alone.shared.store)
    other.invader.label_sets = {"facenet": (*IDENTITIES, "another")}
    async with other.protector.serving() as protector, other.invader.serving() as invader:
        process = await other.start(0, protector, invader)
        said, _ = await process.communicate()
    assert process.returncode == 2
    words = " ".join(said.decode().split())
    assert "holds another run; what differs: " in words
    assert "target_models.facenet.identities: 30 then, 31 now" in words
