"""`orchestrator evaluate` as a user runs it: three processes, real gRPC, MTCNN, checkpoints of one's own.

The networks have random weights and heads that know the drawn faces, so the control is recognised for a reason.
"""

import csv
import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from recognizers.networks.compact import CompactFaceNet, CompactResNet, CompactSENet
from tests.support.drawn_faces import draw_face, write_data_set
from tests.support.networks import calibrated, knowing, write_checkpoint
from tests.support.processes import service_process

IDENTITIES = 6
BUDGETS = (2, 8, 64)  # the largest takes long enough to be interrupted
GRID = ("--subjects", "3", "--epsilons", ",".join(map(str, BUDGETS)), "--k", "1,5", "--conditions", "jpeg:95")


@dataclass(frozen=True)
class Setting:
    """A data set and a checkpoint folder of a FaceNet and a ResNet; the SENet is missing."""

    faces: Path
    checkpoints: Path
    facenet: str
    resnet: str
    senet: str

    @property
    def own_checkpoints(self) -> tuple[str, ...]:
        """The options of services that the evaluation starts itself."""
        return "--protector-checkpoints", str(self.checkpoints), "--invader-checkpoints", str(self.checkpoints)

    def command(self, run: Path, *extra: str) -> list[str]:
        return [
            *(sys.executable, "-m", "orchestrator", "evaluate", "--no-report"),
            *("--faces", str(self.faces), "--run", str(run), "--source-models", self.facenet),
            *(*GRID, *extra),
        ]

    def evaluate(self, run: Path, *extra: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(run, *extra), capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    """With what is of no use in the data set, and checkpoints of networks that know its people."""
    root = tmp_path_factory.mktemp("setting")
    names = write_data_set(root / "faces", identities=IDENTITIES)
    (root / "faces" / "stranger").mkdir()
    (root / "faces" / "stranger" / "0.jpg").write_bytes((root / "faces" / names[0] / "0.jpg").read_bytes())
    (root / "faces" / names[0] / "notes.txt").write_text("not a photo")
    checkpoints = root / "checkpoints"
    checkpoints.mkdir()
    photos = [draw_face(identity) for identity in range(IDENTITIES)]
    for architecture in (CompactFaceNet, CompactResNet):
        recognizer = knowing(calibrated(architecture, seed=1), photos, names)
        write_checkpoint(recognizer, checkpoints / f"{architecture.name}.pt")
    (checkpoints / "senet.pkl").write_text("<!DOCTYPE html><title>Sign in to download</title>")
    (checkpoints / "labels.txt").write_text("\n".join(names) + "\n")
    return Setting(root / "faces", checkpoints, CompactFaceNet.name, CompactResNet.name, CompactSENet.name)


@pytest.fixture(scope="module")
def running(setting: Setting, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ...]]:
    """The options of an evaluation by services that run already."""
    log = tmp_path_factory.mktemp("services") / "log"
    folder = ("--checkpoints", str(setting.checkpoints))
    with (
        service_process("protector_service", *folder, log=log) as protector,
        service_process("invader_service", *folder, log=log) as invader,
    ):
        yield "--protector", protector.address, "--invader", invader.address


@dataclass(frozen=True)
class Undisturbed:
    """A run from beginning to end."""

    run: Path
    output: str


@pytest.fixture(scope="module")
def undisturbed(setting: Setting, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    run = tmp_path_factory.mktemp("runs") / "undisturbed"
    finished = setting.evaluate(run, *setting.own_checkpoints, "--tables")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return Undisturbed(run, finished.stdout)


def psr(run: Path) -> dict[tuple[str, int, str, int], dict[str, str]]:
    with (run / "psr.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {(row["method"], int(row["epsilon"]), row["target_model"], int(row["k"])): row for row in rows}


def answers(run: Path) -> set[tuple[object, ...]]:
    columns = "probe, source_model, method, epsilon, target_model, outcome, rank, candidates, picture_sha256"
    with sqlite3.connect(run / "observations.sqlite") as connection:
        return set(connection.execute(f"SELECT {columns} FROM observations"))


def test_every_cell_has_every_subject_and_the_control_is_recognised(setting: Setting, undisturbed: Undisturbed) -> None:
    table = psr(undisturbed.run)
    cells = [("none", 0), *((method, epsilon) for method in ("noise", "bim", "illc") for epsilon in BUDGETS)]
    targets = (setting.facenet, setting.resnet)
    assert set(table) == {(*cell, target, k) for cell in cells for target in targets for k in (1, 5)}
    assert {row["n"] for row in table.values()} == {"3"}
    for target in targets:
        assert float(table["none", 0, target, 1]["psr"]) == 0
        assert float(table["none", 0, target, 1]["detection_rate"]) == 100


def test_a_cloak_protects_from_its_own_model_where_noise_of_its_size_does_not(
    setting: Setting, undisturbed: Undisturbed
) -> None:
    table = psr(undisturbed.run)
    assert float(table["noise", 8, setting.facenet, 1]["psr"]) == 0
    assert float(table["bim", 8, setting.facenet, 1]["psr"]) > 0
    assert float(table["bim", 8, setting.facenet, 1]["minus_noise"]) > 0


def test_what_was_left_out_is_said(setting: Setting, undisturbed: Undisturbed) -> None:
    output = " ".join(undisturbed.output.split())
    assert "protector: checkpoint refused:" in output
    assert "this is a web page, not a checkpoint" in output
    assert f"target model {setting.senet}: the invader at" in output
    assert "excluded 1 identities unknown to some model: stranger" in output
    assert "skipped 1 files or folders of no use: drawn_000/notes.txt" in output


def test_tables_are_printed_for_every_method(undisturbed: Undisturbed) -> None:
    for method in ("BIM", "ILLC"):
        assert f"FaceNet by {method} [95 % interval]" in undisturbed.output


def test_the_manifest_says_what_was_run(setting: Setting, undisturbed: Undisturbed) -> None:
    manifest = json.loads((undisturbed.run / "manifest.json").read_text())
    assert manifest["protocol"]["grid"]["epsilons"] == list(BUDGETS)
    assert len(manifest["outcome"]["subjects"]) == 3
    assert manifest["outcome"]["excluded"] == ["stranger"]
    assert manifest["protocol"]["grid"]["conditions"] == ["jpeg:95"]
    calls = {"craft_calls": 3, "classify_calls": 30}
    assert manifest["outcome"]["last_session"] | {"seconds": 0} == calls | {"seconds": 0}
    assert set(manifest["source_models"][setting.facenet]) == {
        "input_size",
        "identities",
        "label_set_sha256",
        "checkpoint_sha256",
        "batch_rows",
        "precision",
        "threads",
        "extraction",
        "kind",
    }
    assert manifest["source_models"][setting.facenet]["precision"] in ("float32", "bfloat16")


def test_a_finished_run_is_continued_without_a_request(
    setting: Setting, undisturbed: Undisturbed, running: tuple[str, ...]
) -> None:
    before = answers(undisturbed.run)
    again = setting.evaluate(undisturbed.run, *running)
    assert again.returncode == 0, again.stderr
    manifest = json.loads((undisturbed.run / "manifest.json").read_text())
    calls = {"craft_calls": 0, "classify_calls": 0}
    assert manifest["outcome"]["last_session"] | {"seconds": 0} == calls | {"seconds": 0}
    assert answers(undisturbed.run) == before


def test_another_protocol_in_the_same_run_folder_is_refused(
    setting: Setting, undisturbed: Undisturbed, running: tuple[str, ...]
) -> None:
    refused = setting.evaluate(undisturbed.run, "--seed", "1", *running)
    assert refused.returncode == 2
    assert "holds another run; what differs: protocol.seed: 0 then, 1 now" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_ctrl_c_leaves_what_was_observed_and_the_run_goes_on_to_the_same_answers(
    setting: Setting, undisturbed: Undisturbed, running: tuple[str, ...], tmp_path: Path
) -> None:
    run = tmp_path / "interrupted"
    # A shell that starts the tests in the background has them, and all that they start, ignore Ctrl-C.
    command = ["env", "--default-signal=INT", *setting.command(run, "--in-flight", "1", *running)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("subject 1 of 3"):
                break
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert errors.startswith("interrupted by SIGINT; what was observed is kept, and the same command with --run ")
    observed = answers(run)
    assert len(observed) >= 14
    assert observed < answers(undisturbed.run)
    resumed = setting.evaluate(run, *running)
    assert resumed.returncode == 0, resumed.stderr
    assert answers(run) == answers(undisturbed.run)


def test_a_checkpoint_folder_without_checkpoints_stops_the_start_with_its_reason(setting: Setting, tmp_path: Path) -> None:
    failed = subprocess.run(
        setting.command(
            tmp_path / "run", "--protector-checkpoints", str(tmp_path), "--invader-checkpoints", str(setting.checkpoints)
        ),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert failed.returncode == 1
    assert "protector_service did not start (exit status 2)" in failed.stderr
    assert "no usable checkpoint" in failed.stderr
    assert "Traceback" not in failed.stderr
