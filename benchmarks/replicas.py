"""More and more replicas that take their time and compute nothing: where does an orchestrator stop to scale, or several?"""

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
from tests.support.postgres import running_cluster

CANDIDATES = 5
OBSERVATIONS = 5 * len(TARGETS)  # of a subject: the control, and noise and BIM at both budgets


async def measured(root: Path, replicas: int, *, rounds: int) -> tuple[int, float, float]:
    """Observations, seconds, and the orchestrator's processor seconds."""
    subjects = rounds * replicas
    faces = _write_faces(root, subjects)
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


async def measured_together(
    root: Path, replicas: int, *, rounds: int, orchestrators: int, store: str
) -> tuple[int, float, float]:
    """The same of several orchestrators, as processes that share a store; with their starts, which one has behind it."""
    subjects = rounds * replicas
    faces = _write_faces(root, subjects)
    async with _stubs(replicas, subjects) as (protectors, invaders):
        started, cpu = time.perf_counter(), _processor_seconds(resource.RUSAGE_CHILDREN)
        processes = [
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "orchestrator", "evaluate", "--faces", str(faces), "--no-report"),
                *("--run", str(root / str(number) / "run"), "--store", store, "--discard-cloaks"),
                *("--protector", protectors, "--invader", invaders, "--subjects", str(subjects)),
                *("--source-models", ",".join(SOURCES), "--target-models", ",".join(TARGETS), "--conditions", "png"),
                *("--methods", "bim", "--epsilons", "4,8", "--k", f"1,{CANDIDATES}"),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            for number in range(orchestrators)
        ]
        said = await asyncio.gather(*(process.communicate() for process in processes))
        seconds = time.perf_counter() - started
        cpu = _processor_seconds(resource.RUSAGE_CHILDREN) - cpu  # the stubs are still running
    for process, (words, _) in zip(processes, said, strict=True):
        assert process.returncode == 0, words.decode()
    return subjects * OBSERVATIONS, seconds, cpu


def _write_faces(root: Path, subjects: int) -> Path:
    faces = root / "faces"
    for name in identities(subjects):
        (faces / name).mkdir(parents=True)
        Image.new("RGB", (8, 8), (200, 100, 55)).save(faces / name / "0.jpg", "JPEG")
    return faces


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


def _processor_seconds(who: int = resource.RUSAGE_SELF) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def run(counts: Sequence[int], *, rounds: int, orchestrators: int) -> None:
    """Measures so many crafts of each replica, prints and keeps. Several orchestrators share a PostgreSQL server."""
    rows, raw = [], []
    for replicas in counts:
        with tempfile.TemporaryDirectory() as root:
            if orchestrators == 1:
                observations, seconds, cpu = asyncio.run(measured(Path(root), replicas, rounds=rounds))
            else:
                with running_cluster() as server:
                    store = server.new_database()
                    together = measured_together(
                        Path(root), replicas, rounds=rounds, orchestrators=orchestrators, store=store
                    )
                    observations, seconds, cpu = asyncio.run(together)
        linear = rounds * CRAFT_SECONDS  # every replica crafts without a pause
        per_thousand = 1000 * cpu / observations
        rows.append((str(replicas), f"{observations:,}", f"{seconds:.1f}", f"{linear / seconds:.2f}", f"{per_thousand:.1f}"))
        raw.append({"replicas": replicas, "observations": observations, "s": seconds, "cpu_s": cpu})
    report(
        "replicas" if orchestrators == 1 else f"replicas-{orchestrators}",
        f"{'One orchestrator' if orchestrators == 1 else f'{orchestrators} orchestrators on PostgreSQL'}; protectors of "
        f"{CRAFT_SECONDS:g} s a craft, as many invaders of {SEARCH_SECONDS:g} s a search",
        ("replicas of each", "observations", "s", "of linear", "processor s per 1,000 observations"),
        rows,
        {"measured": raw},
    )
