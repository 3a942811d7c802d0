"""`orchestrator evaluate --conditions threat` as a user runs it, and with what can happen to its processes meanwhile."""

import csv
import json
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from prometheus_client.parser import text_string_to_metric_families

from orchestrator.experiment.condition import NAMED_SETS
from orchestrator.faces.data_sets import read_data_set
from orchestrator.faces.split import SplitSizes, split
from orchestrator.run_folder.galleries import GalleryFolders
from recognizers.networks.dlib_resnet import DlibResNet
from tests.support.faults.observed import differences, observed
from tests.support.faults.stage import PATIENCE_SECONDS, Actor
from tests.support.ports import free_port
from tests.support.tcp_proxy import tcp_proxy

FACES = "synthetic:identities=8,photographs=4"
SUBJECTS = 2
ASKED = (
    *("--faces", FACES, "--subjects", str(SUBJECTS), "--conditions", "threat", "--methods", "bim", "--epsilons", "8"),
    *("--k", "1,5", "--source-models", "compact-facenet"),
)
THREATS = {str(condition) for condition in NAMED_SETS["threat"]}
LONG = pytest.mark.thorough("orchestrator/", "gallery_service/", "invader_service/", "rpc/")


@dataclass(frozen=True)
class Running:
    """A protector, and an invader that has enrolled what the run divides its people into; both behind proxies."""

    protector: Actor
    invader: Actor
    metrics_port: int

    def command(self, run: Path, *extra: str) -> list[str]:
        return [
            *(sys.executable, "-m", "orchestrator", "evaluate", "--run", str(run), *ASKED),
            *("--target-models", "compact-facenet,compact-facenet-features"),
            *("--protector", self.protector.proxy.address, "--invader", self.invader.proxy.address),
            *("--outage-timeout", str(PATIENCE_SECONDS), *extra),
        ]

    def galleries(self) -> float:
        """How many galleries of clients the invader holds."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=30) as answer:
            families = text_string_to_metric_families(answer.read().decode())
        (gauge,) = (family for family in families if family.name == "deid_galleries")
        (sample,) = gauge.samples
        return float(sample.value)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("services")
    people = split(read_data_set(FACES), SplitSizes(photos=2), seed=0)
    folders = GalleryFolders(folder)
    for photos in people.enrolled.values():
        for photo in photos:
            folders.write(folders.enrolled, photo)
    port = free_port()
    of_gallery = ("--gallery", str(folders.enrolled), "--matchers", "compact-facenet", "--metrics-port", str(port))
    protector = Actor("protector_service", (), folder / "protector.log")
    invader = Actor("invader_service", of_gallery, folder / "invader.log")
    for actor in (protector, invader):
        actor.start()
    with tcp_proxy(protector.address) as protector.proxy, tcp_proxy(invader.address) as invader.proxy:
        yield Running(protector, invader, port)
    protector.end()
    invader.end()


@pytest.fixture(scope="module")
def undisturbed(running: Running, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    finished = subprocess.run(running.command(run), capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return run


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "psr.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@LONG
def test_every_carrier_is_read_by_the_matcher_and_cloaked_probes_by_the_classifier(
    running: Running, undisturbed: Path
) -> None:
    found = {(row["condition"], row["target_model"]) for row in rows(undisturbed)}
    assert found == {(condition, "compact-facenet-features") for condition in THREATS} | {("jpeg:95", "compact-facenet")}
    assert {row["n"] for row in rows(undisturbed)} == {str(SUBJECTS)}
    assert running.galleries() == 0


@LONG
def test_by_clean_photos_people_are_found_where_no_cloak_is_enrolled(undisturbed: Path) -> None:
    clean = ("jpeg:95/gallery", "jpeg:95/adaptive")
    of_control = [row for row in rows(undisturbed) if row["method"] == "none" and row["condition"] in clean]
    assert {(row["psr"], row["not_enrolled"]) for row in of_control} == {("0.0000", "0")}


@LONG
def test_the_report_has_the_threat_matrix(undisturbed: Path) -> None:
    page = (undisturbed / "report" / "report.html").read_text()
    assert "cloaked gallery" in page
    manifest = json.loads((undisturbed / "manifest.json").read_text())
    assert manifest["outcome"]["failed_calls"] == 0
    assert not [said for said in manifest["outcome"]["missing_models"] if said.startswith("gallery of")]


def begun(running: Running, run: Path, *, until: str) -> subprocess.Popen[str]:
    """An evaluation that has said so."""
    # A shell that starts the tests in the background has them, and all that they start, ignore Ctrl-C.
    command = ["env", "--default-signal=INT", *running.command(run, "--no-report", "--in-flight", "1")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if line.startswith(until):
            return process
    raise AssertionError("".join(said))


BEFORE_OTHERS, BEFORE_ADAPTIVE = "subject 1 of 2", "subject 2 of 2"


@LONG
def test_after_the_invader_was_killed_the_answer_is_the_same(running: Running, undisturbed: Path, tmp_path: Path) -> None:
    process = begun(running, tmp_path / "run", until=BEFORE_ADAPTIVE)
    running.invader.kill()
    running.invader.restart()
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert differences(observed(tmp_path / "run"), observed(undisturbed)) == []
    assert running.galleries() == 0


@LONG
@pytest.mark.parametrize("moment", [BEFORE_OTHERS, BEFORE_ADAPTIVE])
def test_ctrl_c_leaves_no_gallery_with_the_invader(running: Running, tmp_path: Path, moment: str) -> None:
    process = begun(running, tmp_path / "run", until=moment)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert running.galleries() == 0


@LONG
def test_after_the_orchestrator_was_killed_the_same_command_goes_on_to_the_same_answer(
    running: Running, undisturbed: Path, tmp_path: Path
) -> None:
    process = begun(running, tmp_path / "run", until=BEFORE_OTHERS)
    process.kill()
    process.communicate()
    with sqlite3.connect(tmp_path / "run" / "observations.sqlite") as connection:
        connection.execute("UPDATE draw SET expires = 0")  # test_faults.py waits until a lease has run out
    connection.close()
    command = running.command(tmp_path / "run", "--no-report")
    finished = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert differences(observed(tmp_path / "run"), observed(undisturbed)) == []


@LONG
def test_started_services_are_given_the_gallery_and_dlib_reads_what_is_enrolled(tmp_path: Path) -> None:
    torch.manual_seed(0)
    (tmp_path / "checkpoints").mkdir()
    torch.save(DlibResNet().backbone.state_dict(), tmp_path / "checkpoints" / "dlib.pt")
    command = [
        *(sys.executable, "-m", "orchestrator", "evaluate", "--run", str(tmp_path / "run"), *ASKED, "--subjects", "2"),
        *("--invader-checkpoints", str(tmp_path / "checkpoints"), "--no-report"),
    ]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert {(row["condition"], row["target_model"]) for row in rows(tmp_path / "run")} == {
        (condition, "dlib") for condition in THREATS
    }
    assert "white box of compact-facenet: no target model compares with a gallery by its network" in finished.stdout
    assert not list((tmp_path / "run").glob("gallery*"))


def test_started_services_enrol_cloaks_for_the_source_model_s_own_network_too(tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "orchestrator", "evaluate", "--run", str(tmp_path / "run"), *ASKED, "--subjects", "1"),
        *("--target-models", "compact-facenet,compact-facenet-features", "--no-report"),
    ]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert {row["condition"] for row in rows(tmp_path / "run") if row["target_model"].endswith("-features")} == THREATS
    assert "white box" not in finished.stdout
    assert not list((tmp_path / "run").glob("gallery*"))
