"""A grid with MobileFaceNet, source and target. Its weights are filled by a rule: its figures mean nothing."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from recognizers.extraction import Extraction
from synthetic_faces import Population
from tests.support.filled_networks import SIDE, write_filled

NAME = "mobilefacenet"
PEOPLE = 4


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("aligned")
    people = Population(PEOPLE)
    for number, name in enumerate(people.names, start=1):
        (root / "faces" / name).mkdir(parents=True)
        for photo in (1, 2):
            Image.fromarray(people.photograph(number, photo)).save(root / "faces" / name / f"{photo}.png")
    (root / "checkpoints").mkdir()
    write_filled(NAME, root / "checkpoints" / "mobile_face.pth")
    arguments = {
        "--faces": root / "faces",
        "--protector-checkpoints": root / "checkpoints",
        "--invader-checkpoints": root / "checkpoints",
        "--source-models": NAME,
        "--target-models": NAME,
        "--methods": "bim,illc",
        "--epsilons": "4",
        "--gallery-photos": 1,
        "--subjects": 2,
        "--k": 1,
        "--conditions": "png,png/gallery",
        "--run": root / "run",
    }
    command = [sys.executable, "-m", "orchestrator", "evaluate", *(str(word) for pair in arguments.items() for word in pair)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return root / "run"


def test_every_cell_has_its_observations(run: Path) -> None:
    with (run / "psr.csv").open() as file:
        cells = {(row["method"], row["condition"]): int(row["n"]) for row in csv.DictReader(file)}
    assert cells == {
        (method, condition): 2 for method in ("none", "noise", "bim", "illc") for condition in ("png", "png/gallery")
    }


def test_the_manifest_states_how_faces_were_cut_out(run: Path) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    source, target = manifest["source_models"][NAME], manifest["target_models"][NAME]
    assert source["extraction"] == target["extraction"] == Extraction.ALIGNED.in_words
    assert source["kind"] == target["kind"] == "matcher"
    assert target["regions"] == ["detected"]


def test_cloaks_have_the_size_of_aligned_faces(run: Path) -> None:
    sizes = {Image.open(path).size for path in (run / "cloaks").rglob("*.png")}
    assert sizes == {(SIDE, SIDE)}
