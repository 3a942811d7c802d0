"""A run of a million observations: seconds and memory of its report, and seconds to go on with it."""

import asyncio
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.children import in_child, peak_mebibytes
from benchmarks.results import report
from orchestrator.commands.report import report as write_report
from orchestrator.experiment.condition import PAPERS
from orchestrator.experiment.grid import EPSILONS, KS, METHODS, MODELS, Cell
from orchestrator.faces.data_set import drawn_identities
from orchestrator.faces.folder import read_face_folder
from orchestrator.report.run import read_run
from orchestrator.run_folder.folder import RunFolder
from orchestrator.services.invader import InvaderClient
from orchestrator.services.protector import ProtectorClient
from orchestrator.session.planning import RunRequest, make_plan
from orchestrator.store.records import SubjectStatus
from orchestrator.store.store import Store
from tests.support.fakes import FakeInvader, FakeProtector

IDENTITIES, SUBJECTS = 8631, 5848  # VGGFace2's training identities; 171 cells of so many are a million
CANDIDATES = 50
NAMES = tuple(f"n{number:06d}" for number in range(IDENTITIES))
PHOTO = "0001_01.jpg"
PHOTO_SHA256 = PICTURE_SHA256 = "0" * 64


@dataclass(frozen=True)
class Setting:
    """A data set of empty files, and services that list its identities and are never asked for more."""

    root: Path

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def faces(self) -> Path:
        return self.root / "faces"

    def request(self) -> RunRequest:
        """The paper's grid."""
        return RunRequest(
            faces=read_face_folder(self.faces),
            source_models=None,
            target_models=None,
            methods=METHODS,
            epsilons=EPSILONS,
            ks=KS,
            subjects=SUBJECTS,
            seed=0,
            conditions=(PAPERS,),
        )

    @asynccontextmanager
    async def services(self) -> AsyncIterator[tuple[str, str]]:
        """The addresses of both."""
        label_sets = dict.fromkeys(MODELS, NAMES)
        protector = FakeProtector(label_sets)
        invader = FakeInvader(label_sets, max_candidates=CANDIDATES)
        async with protector.serving() as at_protector, invader.serving() as at_invader:
            yield at_protector, at_invader


async def make_run(setting: Setting) -> None:
    """A run folder with made-up outcomes and no cloaks."""
    for name in NAMES:
        (setting.faces / name).mkdir(parents=True)
        (setting.faces / name / PHOTO).touch()
    async with setting.services() as (protector, invader), AsyncExitStack() as clients:
        of_protector, of_invader = ProtectorClient(protector), InvaderClient(invader)
        clients.push_async_callback(of_protector.close)
        clients.push_async_callback(of_invader.close)
        plan = (await make_plan(setting.request(), of_protector, of_invader)).plan
    run, cells, drawn = plan.digest(), tuple(plan.grid.cells()), drawn_identities(frozenset(NAMES), seed=0)[:SUBJECTS]
    folder = RunFolder(setting.run)
    folder.create()
    folder.bind(plan)
    Store(folder.observations, run=run).close()
    with sqlite3.connect(folder.observations) as database:
        database.executemany(
            "INSERT INTO subjects VALUES (?, ?, ?, ?, ?)",
            [(run, name, f"{name}/{PHOTO}", PHOTO_SHA256, SubjectStatus.SUBJECT.value) for name in drawn],
        )
        database.executemany(
            "INSERT INTO observations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", _rows(run, cells, drawn)
        )
    outcome = {"subjects_wanted": SUBJECTS, "failed_calls": 0, "replaced": {}, "photos": {}}
    nobody = ("subjects", "excluded", "missing_models", "skipped_files", "unreadable_photos")
    folder.write_outcome(outcome | dict.fromkeys(nobody, ()))


def _rows(run: str, cells: Sequence[Cell], names: Sequence[str]) -> Iterator[tuple[object, ...]]:
    """Cloaks protect more with epsilon, and now and then hide the face."""
    draw = random.Random(0)  # noqa: S311 - no secret
    for name in names:
        for cell in cells:
            chance = draw.random()
            protects = cell.epsilon / 200
            rank = None if chance < protects else draw.randint(1, CANDIDATES)
            outcome = "ranked" if rank is not None else "no_face" if chance < protects / 10 else "beyond"
            key = (
                run,
                f"{name}/{PHOTO}",
                cell.source_model,
                cell.method,
                cell.epsilon,
                str(cell.condition),
                cell.target_model,
            )
            yield (*key, outcome, rank, CANDIDATES, None, PICTURE_SHA256)


def reported(root: Path) -> tuple[int, float, int, int]:
    """Observations, seconds, peak memory in MiB, bytes of the page."""
    started = time.perf_counter()
    page = write_report(root)
    seconds = time.perf_counter() - started
    return read_run(root).matrix.observations, seconds, peak_mebibytes(), page.stat().st_size


async def resumed(setting: Setting) -> float:
    """Seconds that `orchestrator evaluate` takes, from start to exit, with a run of which nothing is left to ask."""
    async with setting.services() as (protector, invader):
        started = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "orchestrator", "evaluate", "--faces", str(setting.faces), "--run", str(setting.run)),
            *("--subjects", str(SUBJECTS), "--protector", protector, "--invader", invader),
            *("--conditions", str(PAPERS), "--discard-cloaks", "--no-report"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        seconds = time.perf_counter() - started
    if process.returncode != 0:
        raise RuntimeError(said.decode())
    return seconds


def run() -> None:
    """Makes a run, reports on it, and goes on with it."""
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(Path(folder))
        asyncio.run(make_run(setting))
        observations, seconds, memory, size = in_child(reported, setting.run)
        going_on = asyncio.run(resumed(setting))
    columns = ("observations", "report, s", "peak MiB", "page, MB", "evaluate, nothing left, s")
    row = (f"{observations:,}", f"{seconds:.1f}", str(memory), f"{size / 1e6:.1f}", f"{going_on:.1f}")
    raw = {
        "observations": observations,
        "seconds": seconds,
        "peak_mebibytes": memory,
        "page_bytes": size,
        "going_on_seconds": going_on,
    }
    report("million", "metrics and report of a large run, and going on with it", columns, [row], raw)
