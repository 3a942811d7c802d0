"""examples/node_invader: whoever has docs/protocol.md and the schema can take a place in the bench, in any language."""

import asyncio
import csv
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from deid.invader.v1.invader_pb2 import REGION_FULL, ClassifyRequest
from deid.invader.v1.invader_pb2_grpc import InvaderServiceStub

from conformance.invader.service import Invader
from synthetic_faces import Population, photograph_name
from synthetic_faces.population import write_folder
from tests.support.conformance_runs import gallery_checks

ROOT = Path(__file__).parents[2]
EXAMPLE = Path("examples", "node_invader")
NODE, NPM = shutil.which("node"), shutil.which("npm")
OLDEST = (20, 3)  # has AbortSignal.any
# What npm says where there is no registry, or none that has all of it. Anything else is the example's fault.
UNREACHABLE = {"EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ENETUNREACH", "ENOTFOUND", "ETIMEDOUT", "E403", "E404", "E503"}
IDENTITIES, SUBJECTS, PHOTOGRAPHS = 12, 3, 4  # the last photograph of each is kept out of the gallery
MODELS, KS = ("nearest-12", "nearest-20"), (1, 5)
CANCELLED = 40  # times, a little later each, about when the first are answered
SECONDS = 120  # until a command that hangs fails


def version() -> tuple[int, ...]:
    assert NODE
    told = subprocess.run([NODE, "--version"], capture_output=True, text=True, check=True, timeout=SECONDS).stdout
    return tuple(int(number) for number in re.findall(r"\d+", told)[:2])


needs_node = pytest.mark.skipif(
    not (NODE and NPM) or version() < OLDEST,
    reason="there is no node 20.3 or newer with npm: NO INVADER IN ANOTHER LANGUAGE WAS RUN (Debian: nodejs, npm)",
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example, the schema in its place beside it, and its packages."""
    clone = tmp_path_factory.mktemp("clone")
    shutil.copytree(ROOT / EXAMPLE, clone / EXAMPLE, ignore=shutil.ignore_patterns("node_modules"))
    shutil.copytree(ROOT / "protos", clone / "protos", ignore=lambda _, names: [name for name in names if "_pb2" in name])
    command = [str(NPM), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=0"]
    done = subprocess.run(command, cwd=clone / EXAMPLE, capture_output=True, text=True, timeout=SECONDS, check=False)
    codes = set(re.findall(r"code (E\w+)", done.stderr))
    if codes & UNREACHABLE:
        pytest.skip(f"npm cannot fetch packages ({', '.join(codes)}): NO INVADER IN ANOTHER LANGUAGE WAS RUN")
    assert done.returncode == 0, done.stderr
    return clone / EXAMPLE


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two data sets of the same people: whom the invader is shown, and whom it is asked about."""
    folders = {name: tmp_path_factory.mktemp("photos") / name for name in ("gallery", "asked")}
    for photo in write_folder(folders["gallery"], Population(IDENTITIES), photographs=PHOTOGRAPHS):
        if photo.name == photograph_name(PHOTOGRAPHS):
            kept_out = folders["asked"] / photo.parent.name / photo.name
            kept_out.parent.mkdir(parents=True)
            photo.rename(kept_out)
    return folders


@pytest.fixture(scope="module")
def address(installed: Path, photos: dict[str, Path]) -> Iterator[str]:
    """Where it listens; it ends by itself when it is told to."""
    command = [str(NODE), "invader.mjs", "--gallery", str(photos["gallery"])]
    with subprocess.Popen(command, cwd=installed, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            line = process.stdout.readline()
            assert line.startswith("listening on 127.0.0.1:"), line
            yield line.removeprefix("listening on ").strip()
            process.terminate()
            assert process.wait(SECONDS) == 0
        finally:
            process.kill()


def orchestrator(*arguments: str) -> str:
    command = [sys.executable, "-m", "orchestrator", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_node
def test_it_conforms(address: str, photos: dict[str, Path], tmp_path: Path) -> None:
    outcomes = tmp_path / "outcomes.json"
    orchestrator("conformance", "--invader", address, "--faces", str(photos["asked"]), "--json", str(outcomes))
    verdicts = {check["id"]: check["verdict"] for check in json.loads(outcomes.read_text())["checks"]}
    does_not_apply = {check for check, verdict in verdicts.items() if verdict == "not applicable"}
    budget = {"invader.budget", "invader.budget-errors", "invader.budget-spent"}
    matchers = {"invader.gallery-order", "invader.scores", "invader.thresholds", "invader.reached-prefix"}
    lacking = {"invader.no-face", *budget, *matchers, *gallery_checks(Invader)}
    assert does_not_apply == lacking, "it has no detector, no budget and no matcher, enrols nothing, and that is all"
    assert {verdicts[check] for check in verdicts.keys() - does_not_apply} == {"passed"}


@needs_node
async def test_a_call_is_answered_whichever_others_are_cancelled_and_when(address: str, photos: dict[str, Path]) -> None:
    image = next(photos["asked"].glob("*/*")).read_bytes()
    request = ClassifyRequest(image=image, target_models=MODELS, k=1, region=REGION_FULL)
    async with grpc.aio.insecure_channel(address) as channel:
        ask = InvaderServiceStub(channel).Classify
        await ask(request)
        begin = time.monotonic()
        await ask(request)
        takes = time.monotonic() - begin
        for share in range(CANCELLED):
            given_up, waited_for = [ask(request) for _ in range(4)], [ask(request) for _ in range(4)]
            await asyncio.sleep(takes * (0.5 + share / CANCELLED))
            for call in given_up:
                call.cancel()
            answers = await asyncio.gather(*waited_for)
            assert all(answer.face_found for answer in answers)


@needs_node
def test_it_is_evaluated_against_the_bench_s_own_protector(address: str, photos: dict[str, Path], tmp_path: Path) -> None:
    orchestrator(
        *("evaluate", "--faces", str(photos["asked"]), "--invader", address, "--conditions", "png@full"),
        *("--source-models", "compact-facenet", "--target-models", ",".join(MODELS), "--methods", "bim", "--epsilons", "8"),
        *("--k", ",".join(map(str, KS)), "--subjects", str(SUBJECTS), "--no-report", "--run", str(tmp_path / "run")),
    )
    with (tmp_path / "run" / "psr.csv").open() as file:
        rows = list(csv.DictReader(file))
    cells = {(row["method"], row["epsilon"], row["target_model"], row["k"]) for row in rows}
    budgets = {("none", "0"), ("noise", "8"), ("bim", "8")}
    assert cells == {(*budget, model, str(k)) for budget in budgets for model in MODELS for k in KS}
    assert {(row["n"], row["detected"]) for row in rows} == {(str(SUBJECTS), str(SUBJECTS))}
    controls = [row for row in rows if (row["method"], row["k"]) == ("none", str(max(KS)))]
    assert {row["protected"] for row in controls} == {"0"}, "it knows the people whom it was shown"


@needs_node
def test_a_gallery_that_is_not_there_is_told_in_a_line(installed: Path) -> None:
    command = [str(NODE), "invader.mjs", "--gallery", "nowhere"]
    ended = subprocess.run(command, cwd=installed, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "error: --gallery: expected a folder of photos, IDENTITY/FILE.jpg, got nowhere\n"


def test_its_lock_file_names_no_registry() -> None:
    packages = json.loads((ROOT / EXAMPLE / "package-lock.json").read_text())["packages"]
    assert all("integrity" in package and "resolved" not in package for name, package in packages.items() if name)
