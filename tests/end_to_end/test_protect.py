"""`orchestrator protect` as a newcomer runs it: with nothing but a photo, other photos, and what `make setup` installs."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from synthetic_faces import Population
from tests.support.pages import by_id, parsed

LONG = pytest.mark.thorough("orchestrator/protect/", "orchestrator/commands/protect.py", "orchestrator/services/children.py")
QUICK = ("--strangers", "synthetic:identities=12,photographs=1,seed=5", "--conditions", "jpeg:95,jpeg:95+resize:80+jpeg:75")


@pytest.fixture
def person(tmp_path: Path) -> Path:
    """A folder with a photo of somebody, and two others in a folder `me`."""
    population = Population(300, 0)
    (tmp_path / "me").mkdir()
    for photograph, path in enumerate(
        (tmp_path / "photo.jpg", tmp_path / "me" / "1.jpg", tmp_path / "me" / "2.jpg"), start=1
    ):
        path.write_bytes(population.jpeg(7, photograph))
    return tmp_path


def command(person: Path, *arguments: str) -> list[str]:
    given = (str(person / "photo.jpg"), "--me", str(person / "me"), *QUICK, *arguments)
    return [sys.executable, "-m", "orchestrator", "protect", *given]


@LONG
def test_services_are_started_asked_and_stopped_and_half_of_the_recognizers_held_out(person: Path) -> None:
    names = "dlib,compact-facenet-features,compact-resnet-features"
    asked = ("--recognizers", names, "--held-out", "compact-resnet-features", "--same-person", "--max-epsilon", "64")
    finished = subprocess.run(command(person, *asked), capture_output=True, text=True, timeout=900)
    assert finished.returncode in (0, 3), finished.stdout + finished.stderr
    page = parsed((person / "photo.cloaked.html").read_text())
    columns = [each.text for each in by_id(page, "case1-answers").all("th")]
    assert columns[2:4] == ["compact FaceNet (asked, made with)", "dlib (asked, made with)"]
    cloaked = person / "photo.cloaked.jpg"
    assert cloaked.exists() == (finished.returncode == 0)
    if cloaked.exists():
        assert columns[4:] == ["compact ResNet (held out)"]
        with Image.open(cloaked) as file, Image.open(person / "photo.jpg") as photo:
            assert file.size == photo.size
