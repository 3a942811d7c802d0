"""A corner of the grid on real photographs, end to end."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.real


def test_the_control_is_recognised_and_bim_protects_from_its_own_model(real: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    checkpoints = str(real / "checkpoints")
    finished = subprocess.run(
        [
            *(sys.executable, "-m", "orchestrator", "evaluate", "--faces", str(real / "faces"), "--run", str(run)),
            *("--protector-checkpoints", checkpoints, "--invader-checkpoints", checkpoints),
            *("--subjects", "2", "--source-models", "facenet", "--methods", "bim", "--epsilons", "16", "--no-report"),
            *("--conditions", "jpeg:95"),
        ],
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    with (run / "psr.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["n"] for row in rows} == {"2"}
    top1 = {(row["method"], row["epsilon"], row["target_model"]): float(row["psr"]) for row in rows if row["k"] == "1"}
    for target in ("facenet", "resnet50", "senet50"):
        assert top1["none", "0", target] == 0
    assert top1["bim", "16", "facenet"] == 100
