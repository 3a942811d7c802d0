"""What `make evaluate` runs: synthetic faces, the embedded recognizers, two services, nothing to give."""

import csv
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.report.claims import Verdict

EVALUATE = (sys.executable, "-m", "orchestrator", "evaluate", "--tables")
CAVEAT = "embedded recognizers on synthetic faces: not the paper's figures"


@dataclass(frozen=True)
class Run:
    """A finished run of one subject with two budgets, under the default's three conditions."""

    folder: Path
    output: str

    def psr(self, **wanted: str) -> list[float]:
        """PSR@1 in percent of the rows that have these values."""
        with (self.folder / "psr.csv").open() as file:
            rows = [row for row in csv.DictReader(file) if row["k"] == "1"]
        return [float(row["psr"]) for row in rows if wanted.items() <= row.items()]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("embedded") / "run"
    command = [*EVALUATE, "--subjects", "1", "--epsilons", "4,64", "--run", str(folder)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return Run(folder, finished.stdout)


def test_the_whole_grid_is_run(run: Run) -> None:
    assert "189 observations in " in run.output
    for condition in ("jpeg:95", "jpeg:95@full", "png"):
        assert len(run.psr(condition=condition)) == 63
    assert len(run.psr(source_model="compact-senet", method="bim", target_model="compact-resnet", condition="png")) == 2


def test_the_services_end_in_order(run: Run) -> None:
    for service in ("protector", "invader"):
        assert '"event": "stopped"' in (run.folder / "logs" / f"{service}.log").read_text().splitlines()[-1]


def test_every_table_says_what_it_is_of(run: Run) -> None:
    _, *tables = run.output.split("PSR in %, crafted with compact ")
    assert len(tables) == 6
    assert all(CAVEAT in table for table in tables)
    manifest = json.loads((run.folder / "manifest.json").read_text())
    assert manifest["data_set"] == {"synthetic": True, "renderer": 1, "identities": 300, "photographs": 4, "seed": 0}
    assert manifest["outcome"]["caveat"] == CAVEAT


def test_the_one_run_answers_each_of_the_paper_s_claims(run: Run) -> None:
    verdicts = "|".join(Verdict)
    answered = re.findall(rf"^(?:{verdicts}) +\S.*: [+−]?[\d.]+ .* \[.*\]$", run.output, re.MULTILINE)
    assert len(answered) == 6
    assert "not in this run" not in run.output
    assert "Not in this run" not in (run.folder / "report" / "report.html").read_text()


def test_unprotected_faces_are_recognised_and_cloaked_ones_are_not(run: Run) -> None:
    assert run.psr(method="none") == [0.0] * 27
    for model in ("compact-facenet", "compact-resnet", "compact-senet"):
        assert run.psr(source_model=model, target_model=model, method="bim", epsilon="64") == [100.0] * 3


def test_the_run_ends_with_its_report(run: Run) -> None:
    page = (run.folder / "report" / "report.html").read_text()
    assert CAVEAT.partition(":")[0] in page
    assert "synthetic0-" in page
    assert {path.name for path in (run.folder / "report").iterdir()} >= {"report.html", "observations.parquet", "figures"}
