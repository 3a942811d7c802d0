"""One orchestrator and more and more replicas that take their time and compute nothing: where does it stop to scale?"""

import asyncio
import io
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from PIL import Image
from rich.console import Console

from benchmarks.results import report
from benchmarks.stub_replicas import CRAFT_SECONDS, SEARCH_SECONDS, SOURCES, TARGETS, identities
from orchestrator.experiment.condition import LOSSLESS
from orchestrator.faces.folder import read_face_folder
from orchestrator.run_folder.folder import RunFolder
from orchestrator.services.endpoint import EndpointSpec
from orchestrator.session.evaluate import evaluate
from orchestrator.session.planning import RunRequest

ROUNDS = 10  # of crafts for each replica
CANDIDATES = 5
OBSERVATIONS = 5 * len(TARGETS)  # of a subject: the control, and noise and BIM at both budgets


async def measured(root: Path, replicas: int) -> tuple[int, float, float]:
    """Observations, seconds, and the orchestrator's processor seconds."""
    subjects = ROUNDS * replicas
    faces = root / "faces"
    for name in identities(subjects):
        (faces / name).mkdir(parents=True)
        Image.new("RGB", (8, 8), (200, 100, 55)).save(faces / name / "0.jpg", "JPEG")
    request = RunRequest(
        faces=read_face_folder(faces),
        source_models=SOURCES,
        target_models=TARGETS,
        methods=("bim",),
        epsilons=(4, 8),
        ks=(1, CANDIDATES),
        conditions=(LOSSLESS,),
        subjects=subjects,
        seed=0,
    )
    async with _stubs(replicas, subjects) as (protectors, invaders):
        started, cpu = time.perf_counter(), _processor_seconds()
        result = await evaluate(
            request,
            protector=EndpointSpec("protector", protectors, None),
            invader=EndpointSpec("invader", invaders, None),
            folder=RunFolder(root / "run"),
            keep_cloaks=False,
            subjects_in_flight=None,
            console=Console(file=io.StringIO()),
        )
        seconds, cpu = time.perf_counter() - started, _processor_seconds() - cpu
    assert result.complete, "a stub lost an observation"
    return subjects * OBSERVATIONS, seconds, cpu


@asynccontextmanager
async def _stubs(replicas: int, subjects: int) -> AsyncIterator[tuple[str, str]]:
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "benchmarks.stub_replicas", str(replicas), str(subjects))
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    protectors, invaders = [(await process.stdout.readline()).decode().strip() for _ in range(2)]
    try:
        # Also where there is one: the list is what is measured.
        yield f"{protectors},", f"{invaders},"
    finally:
        process.stdin.close()
        await process.wait()


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def run(counts: Sequence[int]) -> None:
    """Measures, prints and keeps."""
    rows, raw = [], []
    for replicas in counts:
        with tempfile.TemporaryDirectory() as root:
            observations, seconds, cpu = asyncio.run(measured(Path(root), replicas))
        linear = ROUNDS * CRAFT_SECONDS  # every replica crafts without a pause
        per_thousand = 1000 * cpu / observations
        rows.append((str(replicas), f"{observations:,}", f"{seconds:.1f}", f"{linear / seconds:.2f}", f"{per_thousand:.1f}"))
        raw.append({"replicas": replicas, "observations": observations, "s": seconds, "cpu_s": cpu})
    report(
        "replicas",
        f"One orchestrator; protectors of {CRAFT_SECONDS:g} s a craft, as many invaders of {SEARCH_SECONDS:g} s a search",
        ("replicas of each", "observations", "s", "of linear", "its processor s per 1,000 observations"),
        rows,
        {"measured": raw},
    )
