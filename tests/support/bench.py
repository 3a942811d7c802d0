"""A data set and two fake services, and evaluations of them in this process or in one of its own."""

import asyncio
import csv
import io
import json
import os
import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console

from orchestrator.cloaks.kept import KeptCloaks
from orchestrator.errors import OrchestratorError
from orchestrator.experiment.condition import LOSSLESS, Condition
from orchestrator.faces.folder import read_face_folder
from orchestrator.faces.pairs import PairList
from orchestrator.report.run import read_run
from orchestrator.run_folder.folder import RunFolder
from orchestrator.services.endpoint import EndpointSpec
from orchestrator.session.evaluate import evaluate
from orchestrator.session.planning import GalleryRequest, RunRequest, replay_request
from orchestrator.session.summary import RunResult, show
from orchestrator.store.store import Store
from tests.support.fakes import FakeInvader, FakeProtector, Shown

IDENTITIES = ("a", "b", "c", "d", "e", "f", "g", "h")
NO_FACE = 0
OUTAGE_TIMEOUT = 1.0  # seconds, with services that a test has brought down for good
TARGETS = ("facenet", "resnet50")
CLOAKS = (("none", 0), ("noise", 4), ("noise", 8), ("bim", 4), ("bim", 8))
# The rank of the true identity for subjects a, b, c and d; 5 candidates are asked for.
RANKS: dict[tuple[str, int, str], tuple[int | None, ...]] = {
    ("none", 0, "facenet"): (1, 1, 1, 1),
    ("none", 0, "resnet50"): (1, 1, 2, 1),
    ("noise", 4, "facenet"): (1, 1, 1, 1),
    ("noise", 4, "resnet50"): (1, 1, 2, 1),
    ("noise", 8, "facenet"): (1, 1, 1, 2),
    ("noise", 8, "resnet50"): (1, 2, 2, 1),
    ("bim", 4, "facenet"): (2, 1, 6, None),
    ("bim", 4, "resnet50"): (1, 1, 3, 1),
    ("bim", 8, "facenet"): (3, 6, None, NO_FACE),
    ("bim", 8, "resnet50"): (1, 6, 2, NO_FACE),
}


def rank(shown: Shown, target_model: str) -> int | None:
    """The true identity's rank by the table; e to h answer as a does."""
    place = IDENTITIES.index(shown.identity)
    return RANKS[shown.method, shown.epsilon, target_model][place if place < 4 else 0]


def face_found(shown: Shown) -> bool:
    return rank(shown, "facenet") != NO_FACE


def draw(identities: Sequence[str], *, seed: int = 0) -> list[str]:
    """The order in which subjects are drawn, by the protocol."""
    return sorted(identities, key=lambda identity: sha256(f"{seed}\n{identity}".encode()).digest())


def write_photo(path: Path, *, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (level, 100, 255 - level)).save(path, "JPEG")


@dataclass
class Evaluated:
    """What became of an evaluation, as a user can see it."""

    finished: RunResult
    printed: str
    figures: str | None  # of psr.csv, as they were then

    @property
    def csv(self) -> str:
        assert self.figures is not None, "no figures were written"
        return self.figures

    @property
    def outcome(self) -> dict[str, Any]:
        return manifest(self.finished.folder)["outcome"]  # type: ignore[no-any-return]

    def rows(self) -> dict[tuple[str, int, str, int], dict[str, str]]:
        rows = csv.DictReader(io.StringIO(self.csv))
        return {(row["method"], int(row["epsilon"]), row["target_model"], int(row["k"])): row for row in rows}


def manifest(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return read


def observed(folder: Path) -> set[tuple[str, str, str, int, str]]:
    """What a run folder's store holds, read as plain SQL: identity, source model, method, epsilon, target model."""
    with sqlite3.connect(folder / "observations.sqlite") as connection:
        found = connection.execute("SELECT probe, source_model, method, epsilon, target_model FROM observations")
        return {(probe.partition("/")[0], *key) for probe, *key in found}


def recorded_cloaks(folder: Path) -> set[Shown]:
    with sqlite3.connect(folder / "observations.sqlite") as connection:
        found = connection.execute("SELECT probe, source_model, method, epsilon FROM cloaks")
        return {Shown(probe.partition("/")[0], *key) for probe, *key in found}


@dataclass
class Bench:
    """A data set of subjects a to d, services that know a to h, and a small grid."""

    root: Path
    protector: FakeProtector = field(default_factory=lambda: FakeProtector({"facenet": IDENTITIES}))
    invader: FakeInvader = field(default_factory=lambda: FakeInvader(dict.fromkeys(TARGETS, IDENTITIES), rank, face_found))

    def __post_init__(self) -> None:
        self.add(*"abcd")

    @property
    def faces(self) -> Path:
        return self.root / "faces"

    @property
    def folder(self) -> Path:
        return self.root / "run"

    def add(self, *identities: str) -> None:
        for identity in identities:
            write_photo(self.faces / identity / "0.jpg", level=ord(identity[0]))

    def add_file(self, name: bytes) -> None:
        Path(os.fsdecode(os.fsencode(self.faces) + b"/" + name)).write_bytes(b"not a photo")

    def wish(self, **changes: Any) -> RunRequest:
        fields: dict[str, Any] = {
            "faces": read_face_folder(self.faces),
            "source_models": ("facenet",),
            "target_models": TARGETS,
            "methods": ("bim",),
            "epsilons": (4, 8),
            "ks": (1, 5),
            "conditions": (LOSSLESS,),  # which leaves fake cloaks as they are
            "subjects": 4,
            "seed": 0,
        }
        return RunRequest(**(fields | changes))

    async def evaluate(
        self,
        *,
        folder: Path | None = None,
        keep_cloaks: bool = True,
        in_flight: int | None = 1,
        allow_incomplete: bool = False,
        store: str | None = None,
        **changes: Any,
    ) -> Evaluated:
        async with self.protector.serving() as protector, self.invader.serving() as invader:
            return await self.evaluate_at(
                protector,
                invader,
                folder=folder,
                keep_cloaks=keep_cloaks,
                in_flight=in_flight,
                allow_incomplete=allow_incomplete,
                store=store,
                **changes,
            )

    async def evaluate_at(
        self,
        protector: str,
        invader: str,
        *,
        folder: Path | None = None,
        keep_cloaks: bool = True,
        in_flight: int | None = 1,
        allow_incomplete: bool = False,
        store: str | None = None,
        **changes: Any,
    ) -> Evaluated:
        text = io.StringIO()
        console = Console(file=text, width=500)
        finished = await evaluate(
            self.wish(**changes),
            protector=EndpointSpec("protector", protector, None),
            invader=EndpointSpec("invader", invader, None),
            folder=RunFolder(folder or self.folder),
            keep_cloaks=keep_cloaks,
            subjects_in_flight=in_flight,
            store=store,
            outage_timeout=OUTAGE_TIMEOUT,
            allow_incomplete=allow_incomplete,
            console=console,
        )
        show(finished, console, tables=True)
        psr = finished.folder / "psr.csv"
        return Evaluated(finished, text.getvalue(), psr.read_text() if psr.exists() else None)

    async def replay(
        self,
        *,
        folder: Path | None = None,
        of: Path | None = None,
        conditions: tuple[Condition, ...] | None = None,
        gallery: GalleryRequest | None = None,
        pairs: PairList | None = None,
    ) -> Evaluated:
        """Shows what the run in a folder kept once more; the protector is not there."""
        run = read_run(of or self.folder)
        kept = KeptCloaks(RunFolder(run.root), run.manifest, run.grid, Store(run.store, run=run.digest, create=False))
        text = io.StringIO()
        console = Console(file=text, width=500)
        async with self.invader.serving() as invader:
            finished = await evaluate(
                replay_request(kept, conditions, None, gallery, pairs),
                protector=kept,
                invader=EndpointSpec("invader", invader, None),
                folder=RunFolder(folder or self.root / "replay"),
                keep_cloaks=True,
                subjects_in_flight=1,
                outage_timeout=OUTAGE_TIMEOUT,
                console=console,
            )
        show(finished, console)
        psr = finished.folder / "psr.csv"
        return Evaluated(finished, text.getvalue(), psr.read_text() if psr.exists() else None)

    async def fails(self, kind: type[OrchestratorError], **changes: Any) -> str:
        with pytest.raises(kind) as failure:
            await self.evaluate(**changes)
        assert "\n" not in str(failure.value)
        return str(failure.value)

    async def undisturbed(self) -> str:
        """The results of the same evaluation with services of which nothing is amiss."""
        fresh = Bench(self.root / "undisturbed")
        evaluated = await fresh.evaluate()
        assert evaluated.finished.complete
        return evaluated.csv


@dataclass
class Program:
    """`python -m orchestrator evaluate`, run to its end."""

    status: int | None
    output: str
    errors: str


# Jobs of a shell may have it ignored. Not by `preexec_fn`: this process would be forked while gRPC's threads run.
HEEDING_CTRL_C = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("orchestrator", run_name="__main__")
"""


async def start(bench: Bench, protector: str, invader: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HEEDING_CTRL_C, "evaluate", "--faces", str(bench.faces), "--run", str(bench.folder)),
        *("--protector", protector, "--invader", invader, "--subjects", "4", "--epsilons", "8,4", "--k", "5,1"),
        *(
            "--source-models",
            "facenet",
            "--target-models",
            "facenet,resnet50",
            "--methods",
            "bim",
            "--conditions",
            "png",
            "--in-flight",
            "1",
        ),
        *("--outage-timeout", str(OUTAGE_TIMEOUT)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def finish(process: asyncio.subprocess.Process) -> Program:
    output, errors = await process.communicate()
    assert b"Traceback" not in errors, errors.decode()
    return Program(process.returncode, output.decode(), errors.decode())


async def run_program(bench: Bench) -> Program:
    async with bench.protector.serving() as protector, bench.invader.serving() as invader:
        return await finish(await start(bench, protector, invader))
