"""An evaluation through the deployment, beside one on this machine."""

import io
import sqlite3
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.support.deployment import Deployment

SUBJECTS, CLOAKS_EACH = 2, 3 * 7  # none, and noise, BIM and ILLC at two budgets, from each of three source models
QUESTION = ("--subjects", str(SUBJECTS), "--epsilons", "4,16", "--conditions", "jpeg:95")
FETCH = ("run", "--rm", "--no-deps", "-T", "--entrypoint", "tar", "orchestrator", "-C", "/runs", "-c", ".")
CLOAKS = "SELECT probe, source_model, method, epsilon, cloak_sha256 FROM cloaks"
RANKS = "SELECT probe, source_model, method, epsilon, target_model, outcome, rank, picture_sha256 FROM observations"

pytestmark = pytest.mark.deployment


@pytest.fixture(scope="module")
def runs(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The run folder of the deployment and that of this machine, of one seed."""
    folder = tmp_path_factory.mktemp("runs")
    deployment.compose("run", "--rm", "orchestrator", "evaluate", *QUESTION, "--run", "/runs/compared")
    here = folder / "here"
    command = [sys.executable, "-m", "orchestrator", "evaluate", *QUESTION, "--no-report", "--run", str(here)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert finished.returncode == 0, finished.stderr
    with tarfile.open(fileobj=io.BytesIO(deployment.piped(*FETCH))) as archive:  # as docs/deployment.md says
        archive.extractall(folder, filter="data")
    return folder / "compared", here


def rows(run: Path, query: str) -> set[tuple[object, ...]]:
    database = sqlite3.connect(run / "observations.sqlite")
    try:
        return set(database.execute(query))
    finally:
        database.close()


def test_the_deployment_crafts_the_same_cloaks(runs: tuple[Path, Path]) -> None:
    there, here = (rows(run, CLOAKS) for run in runs)
    assert len(here) == SUBJECTS * CLOAKS_EACH
    assert there == here


def test_the_deployment_answers_the_same_ranks(runs: tuple[Path, Path]) -> None:
    there, here = (rows(run, RANKS) for run in runs)
    assert len(here) == SUBJECTS * CLOAKS_EACH * 3
    assert there == here


def test_the_results_are_the_same(runs: tuple[Path, Path]) -> None:
    there, here = ((run / "psr.csv").read_text() for run in runs)
    assert there == here


def test_every_query_is_in_the_audit_log(deployment: Deployment, runs: tuple[Path, Path]) -> None:
    script = "import json; print(sum(json.loads(line)['client'] == 'orchestrator' for line in open('/ledger/audit.jsonl')))"
    assert int(deployment.python("invader", script)) == SUBJECTS * CLOAKS_EACH
