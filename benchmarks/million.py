"""The report of a run of a million observations: seconds and memory."""

import random
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.children import in_child, peak_mebibytes
from benchmarks.results import report
from orchestrator.clients import Model
from orchestrator.commands.report import report as write_report
from orchestrator.face_folder import FaceFolder
from orchestrator.manifest import Plan
from orchestrator.protocol import MODELS, Cell, Grid, Storage
from orchestrator.report.run import read_run
from orchestrator.run_folder import RunFolder
from orchestrator.store import Fate, Store

IDENTITIES, SUBJECTS = 8631, 5848  # VGGFace2's training identities; 171 cells of so many are a million
CANDIDATES = 50
PHOTO_SHA256 = CLOAK_SHA256 = "0" * 64


def make_run(root: Path) -> None:
    """A run folder of the paper's grid, with made-up outcomes and no cloaks."""
    names = [f"n{number:06d}" for number in range(IDENTITIES)]
    faces = FaceFolder(Path("faces"), dict.fromkeys(names, ("0001_01.jpg",)), ())
    card: dict[str, str | int] = {"identities": IDENTITIES, "label_set_sha256": "a" * 64}
    models = {name: Model(name, IDENTITIES, "a" * 64, CANDIDATES, card) for name in MODELS}
    plan = Plan(Grid(), Storage(), SUBJECTS, 0, faces, models, models)
    run, cells = plan.digest(), tuple(plan.grid.cells())
    folder = RunFolder(root)
    folder.create()
    folder.bind(plan)
    Store(folder.observations, run=run).close()
    with sqlite3.connect(folder.observations) as database:
        database.executemany(
            "INSERT INTO subjects VALUES (?, ?, ?, ?, ?)",
            [(run, name, f"{name}/0001_01.jpg", PHOTO_SHA256, Fate.SUBJECT.value) for name in names[:SUBJECTS]],
        )
        database.executemany(
            "INSERT INTO observations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", _rows(run, cells, names[:SUBJECTS])
        )
    folder.write_manifest((folder.manifest() or {}) | {"outcome": {"excluded": names[SUBJECTS:]}})


def _rows(run: str, cells: Sequence[Cell], names: Sequence[str]) -> Iterator[tuple[object, ...]]:
    """Cloaks protect more with epsilon, and now and then hide the face."""
    draw = random.Random(0)  # noqa: S311 - no secret
    for name in names:
        for cell in cells:
            chance = draw.random()
            protects = cell.epsilon / 200
            rank = None if chance < protects else draw.randint(1, CANDIDATES)
            outcome = "ranked" if rank is not None else "no_face" if chance < protects / 10 else "beyond"
            key = (run, f"{name}/0001_01.jpg", cell.source_model, cell.method, cell.epsilon, cell.target_model)
            yield (*key, outcome, rank, CANDIDATES, CLOAK_SHA256)


def reported(root: Path) -> tuple[int, float, int, int]:
    """Observations, seconds, peak memory in MiB, bytes of the page."""
    started = time.perf_counter()
    page = write_report(root)
    seconds = time.perf_counter() - started
    return read_run(root).observations, seconds, peak_mebibytes(), page.stat().st_size


def run() -> None:
    """Makes a run and reports on it, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "run")
        make_run(root)
        observations, seconds, memory, size = in_child(reported, root)
    columns = ("observations", "report, s", "peak MiB", "page, MB")
    row = (f"{observations:,}", f"{seconds:.1f}", str(memory), f"{size / 1e6:.1f}")
    raw = {"observations": observations, "seconds": seconds, "peak_mebibytes": memory, "page_bytes": size}
    report("million", "metrics and report of a large run", columns, [row], raw)
