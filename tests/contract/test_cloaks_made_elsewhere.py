"""Whole runs with finished pictures in place of a protector."""

import csv
import io
import json
import shutil
import sqlite3
from collections import Counter
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from deid.invader.v1 import invader_pb2
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

from orchestrator.cloaks.finished import FinishedCloaks, read_finished_cloaks
from orchestrator.cloaks.kept import KeptCloaks
from orchestrator.cloaks.source import CloakSource
from orchestrator.errors import InputError
from orchestrator.experiment.condition import Condition, parse_conditions
from orchestrator.experiment.grid import ELSEWHERE
from orchestrator.faces.folder import read_face_folder
from orchestrator.pictures.similarity import ssim
from orchestrator.report.run import read_run
from orchestrator.run_folder.folder import RunFolder
from orchestrator.services.endpoint import EndpointSpec
from orchestrator.session.evaluate import evaluate
from orchestrator.session.planning import RunRequest, replay_request
from orchestrator.session.summary import RunResult
from orchestrator.store.store import Store
from rpc.images.decoding import encode_jpeg, encode_png
from tests.support.conforming import IDENTITIES, ConformingInvader, ConformingProtector, Context

Pixels = NDArray[np.uint8]

SCHEMA = Path(__file__).parents[2] / "docs" / "manifest.schema.json"
PEOPLE = sorted(IDENTITIES)[:3]
JPEG = parse_conditions("jpeg:95")
FOUR = parse_conditions("as-is,jpeg:95,png,as-is+resize:12")


class CountingInvader(ConformingInvader):
    budget = 100_000

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()  # by the digest of a picture

    async def Classify(self, request: invader_pb2.ClassifyRequest, context: Context) -> invader_pb2.ClassifyResponse:  # noqa: N802
        self.asked[sha256(request.image).hexdigest()] += 1
        return await super().Classify(request, context)


@dataclass
class Setting:
    """Clean photos as JPEG, and cloaks of them by two tools: "coarse", as PNG, and "blend", as JPEG of quality 90."""

    root: Path
    invader: CountingInvader = field(default_factory=CountingInvader)

    def __post_init__(self) -> None:
        generator = np.random.default_rng(0)
        for identity in PEOPLE:
            pixels = generator.integers(0, 256, (24, 24, 3), dtype=np.uint8)
            self.write(f"faces/{identity}/0.jpg", encode_jpeg(pixels, quality=98))
            self.write(f"cloaks/coarse/{identity}/0.png", encode_png(pixels // 32 * 32))
            self.write(f"cloaks/blend/{identity}/0.jpg", encode_jpeg(pixels // 2 + 60, quality=90))

    def write(self, name: str, content: bytes) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def cloaks(self, folder: str = "cloaks", faces: str = "faces") -> FinishedCloaks:
        return read_finished_cloaks(self.root / folder, read_face_folder(self.root / faces))

    async def run(
        self, name: str, conditions: tuple[Condition, ...] = FOUR, *, cloaks: FinishedCloaks | None = None, **changes: Any
    ) -> RunResult:
        source = cloaks or self.cloaks()
        request = RunRequest(
            faces=source.faces,
            source_models=(ELSEWHERE,),
            target_models=("first", "second"),
            methods=source.compared,
            epsilons=(),
            ks=(1, 3),
            subjects=None,
            seed=0,
            conditions=conditions,
            unbudgeted=source.compared,
            without_noise=source.without_noise,
            missing=source.remarks,
        )
        return await self.asked(name, replace(request, **changes), source)

    async def asked(self, name: str, request: RunRequest, source: CloakSource | EndpointSpec) -> RunResult:
        async with self.invader.serving() as invader:
            return await evaluate(
                request,
                protector=source,
                invader=EndpointSpec("invader", invader, None),
                folder=RunFolder(self.root / name),
                keep_cloaks=True,
                subjects_in_flight=2,
                console=Console(file=io.StringIO()),
            )

    def manifest(self, name: str) -> dict[str, Any]:
        manifest: dict[str, Any] = json.loads(self.read(f"{name}/manifest.json"))
        return manifest

    def kept(self, name: str) -> list[bytes]:
        return [path.read_bytes() for path in (self.root / name / "cloaks").rglob("*.*")]

    def ranks(self, name: str) -> dict[tuple[str, ...], Any]:
        """By identity, method, epsilon, condition and target model."""
        with sqlite3.connect(self.root / name / "observations.sqlite") as connection:
            rows = connection.execute(
                "SELECT probe, method, epsilon, condition, target_model, outcome, rank FROM observations"
            )
            return {(probe.partition("/")[0], *map(str, rest[:4])): rest[4:] for probe, *rest in rows}


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(tmp_path)


def decoded(encoded: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))


async def test_a_run_shows_cloaks_control_and_matched_noise_under_every_condition(setting: Setting) -> None:
    finished = await setting.run("run")
    assert finished.complete
    with (setting.root / "run" / "psr.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    methods = {"none", "blend", "coarse", "noise:blend", "noise:coarse"}
    assert {(row["source_model"], row["method"], row["epsilon"]) for row in rows} == {
        ("elsewhere", each, "0") for each in methods
    }
    assert {row["condition"] for row in rows} == set(map(str, FOUR))
    assert len(rows) == 5 * 4 * 2 * 2, "methods, conditions, target models, k"
    assert {row["n"] for row in rows} == {"3"}
    assert all(row["minus_noise"] and row["noise"] for row in rows if row["method"] in ("blend", "coarse"))
    manifest = setting.manifest("run")
    jsonschema.validate(manifest, json.loads(SCHEMA.read_text()))
    assert manifest["protocol"]["grid"]["unbudgeted"] == ["blend", "coarse"]
    assert manifest["protocol"]["grid"]["epsilons"] == []
    assert manifest["source_models"]["elsewhere"]["cloaks"] == 6


async def test_as_is_sends_the_files_own_bytes_and_noise_as_png(setting: Setting) -> None:
    await setting.run("run", parse_conditions("as-is"))
    own = {hexed(path.read_bytes()) for name in ("faces", "cloaks") for path in (setting.root / name).rglob("0.*")}
    assert len(own) == 9
    assert own < set(setting.invader.asked)
    assert all(
        decoded(each) is not None and each.startswith(b"\x89PNG") for each in setting.kept("run") if hexed(each) not in own
    )
    assert sum(hexed(each) not in own for each in setting.kept("run")) == 6


async def test_a_control_and_a_jpeg_cloak_are_stored_anew_as_png_and_jpeg(setting: Setting) -> None:
    await setting.run("run", parse_conditions("png,jpeg:95"))
    for name in (f"faces/{PEOPLE[0]}/0.jpg", f"cloaks/blend/{PEOPLE[0]}/0.jpg", f"cloaks/coarse/{PEOPLE[0]}/0.png"):
        pixels = decoded(setting.read(name))
        assert setting.invader.asked[hexed(encode_png(pixels))] == 1
        assert setting.invader.asked[hexed(encode_jpeg(pixels, quality=95))] == 1


async def test_kept_files_are_what_they_were_and_named_after_what_they_are(setting: Setting) -> None:
    await setting.run("run", JPEG)
    files = list((setting.root / "run" / "cloaks").rglob("*.*"))
    assert Counter(file.suffix for file in files) == {".jpg": 6, ".png": 9}
    assert all((file.suffix == ".png") == file.read_bytes().startswith(b"\x89PNG") for file in files)


async def test_the_noise_of_a_run_is_matched_to_each_cloak(setting: Setting) -> None:
    await setting.run("run", JPEG)
    folder = RunFolder(setting.root / "run")
    run = read_run(folder.root)
    store = Store(run.store, run=run.digest, create=False)
    for identity in PEOPLE:
        clean = decoded(setting.read(f"faces/{identity}/0.jpg"))
        found = {cloak.key.method: folder.kept_cloak(cloak.sha256) for cloak in store.cloaks(probe=f"{identity}/0.jpg")}
        for method in ("blend", "coarse"):
            of_cloak, of_noise = (ssim(clean, decoded(found[each] or b"")) for each in (method, f"noise:{method}"))
            assert 0.5 < of_cloak < 0.999
            assert of_noise == pytest.approx(of_cloak, abs=0.005)
    store.close()


async def test_the_cloaks_of_a_run_written_out_as_a_folder_give_the_same_ranks(setting: Setting) -> None:
    crafted = RunRequest(
        faces=read_face_folder(setting.root / "faces"),
        source_models=("first",),
        target_models=("first", "second"),
        methods=("bim", "illc"),
        epsilons=(4, 32),
        ks=(1, 3),
        subjects=3,
        seed=0,
        conditions=JPEG,
    )
    async with ConformingProtector().serving() as protector:
        await setting.asked("crafted", crafted, EndpointSpec("protector", protector, None))
    folder, run = RunFolder(setting.root / "crafted"), read_run(setting.root / "crafted")
    store = Store(run.store, run=run.digest, create=False)
    for cloak in store.cloaks():
        identity, key = cloak.probe.partition("/")[0], cloak.key
        name = f"clean/{identity}" if key.method == "none" else f"written/{key.method}-{key.epsilon}/{identity}"
        if key.method != "noise":
            setting.write(f"{name}/0.png", folder.kept_cloak(cloak.sha256) or b"")
    store.close()
    assert (await setting.run("shown", JPEG, cloaks=setting.cloaks("written", "clean"))).complete
    before, after = setting.ranks("crafted"), setting.ranks("shown")
    expected = {
        (identity, method if epsilon == "0" else f"{method}-{epsilon}", "0", *rest): found
        for (identity, method, epsilon, *rest), found in before.items()
        if method != "noise"
    }
    assert len(expected) == 3 * 5 * 2
    assert {key: found for key, found in after.items() if not key[1].startswith("noise")} == expected


async def test_a_run_goes_on_with_the_same_files_only(setting: Setting) -> None:
    await setting.run("run", JPEG)
    asked = setting.invader.asked.total()
    assert (await setting.run("run", JPEG)).complete
    assert setting.invader.asked.total() == asked
    setting.write(f"cloaks/coarse/{PEOPLE[0]}/0.png", encode_png(np.zeros((24, 24, 3), dtype=np.uint8)))
    with pytest.raises(
        InputError, match=r"--run: .* holds another run; what differs: source_models.elsewhere.cloaks_sha256"
    ):
        await setting.run("run", JPEG)


async def test_a_file_that_changes_during_a_run_is_named_and_its_cells_are_short(setting: Setting) -> None:
    cloaks = setting.cloaks()
    setting.write(f"cloaks/coarse/{PEOPLE[1]}/0.png", encode_png(np.zeros((24, 24, 3), dtype=np.uint8)))
    assert not (await setting.run("run", JPEG, cloaks=cloaks)).complete
    missing = {key[0] for key in setting.ranks("run") if key[1] == "none"} - {
        key[0] for key in setting.ranks("run") if key[1] == "coarse"
    }
    assert missing == {PEOPLE[1]}


async def test_a_method_with_a_cloak_of_another_size_has_no_noise_control(setting: Setting) -> None:
    small = np.random.default_rng(1).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    setting.write(f"cloaks/coarse/{PEOPLE[0]}/0.png", encode_png(small))
    assert (await setting.run("run", JPEG)).complete
    assert {key[1] for key in setting.ranks("run")} == {"none", "blend", "noise:blend", "coarse"}
    manifest = setting.manifest("run")
    assert manifest["protocol"]["grid"]["without_noise"] == ["coarse"]
    assert [
        each for each in manifest["outcome"]["missing_models"] if each.startswith("noise control of coarse: 1 of its 3 ")
    ]


async def test_a_run_of_finished_cloaks_can_be_replayed_under_other_conditions(setting: Setting) -> None:
    await setting.run("run", parse_conditions("as-is"))
    shutil.rmtree(setting.root / "cloaks")
    shutil.rmtree(setting.root / "faces")
    run = read_run(setting.root / "run")
    kept = KeptCloaks(RunFolder(run.root), run.manifest, run.grid, Store(run.store, run=run.digest, create=False))
    assert (await setting.asked("again", replay_request(kept, FOUR, ("first", "second")), kept)).complete
    as_is = {key: found for key, found in setting.ranks("again").items() if key[3] == "as-is"}
    assert as_is == setting.ranks("run")


def hexed(encoded: bytes) -> str:
    return sha256(encoded).hexdigest()
