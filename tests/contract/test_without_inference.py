"""A copy of this project without recognizers/inference: all that is lost is speed."""

import os
import subprocess
import sys
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest

ROOT = Path(__file__).parents[2]
LINKED = ("command_line", "rpc", "gallery_service", "protector_service", "invader_service", "protos", "pyproject.toml")
LOAD = """
import logging, torch
from recognizers.checkpoints.loading import load_folder
from protector_service.batched_model import input_gradient

logging.basicConfig(format="%(levelname)s %(message)s")
for each in load_folder(None, torch.device("cpu"), on_refused=lambda *refused: print(*refused)).values():
    side = each.recognizer.input_size
    images = torch.full((1, 3, side, side), 127.5)
    assert input_gradient(each.recognizer, images, torch.tensor([0])).abs().max() > 0
    print(each.recognizer.name)
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copy")
    for name in LINKED:
        (folder / name).symlink_to(ROOT / name)
    copytree(ROOT / "recognizers", folder / "recognizers", ignore=ignore_patterns("inference", "training", "__pycache__"))
    copytree(ROOT / "tests" / "support", folder / "tests" / "support", ignore=ignore_patterns("__pycache__"))
    (folder / "tests" / "contract").mkdir()
    for name in (
        "__init__.py",
        "conftest.py",
        "contract/__init__.py",
        "contract/test_protector.py",
        "contract/test_invader.py",
    ):
        (folder / "tests" / name).write_bytes((ROOT / "tests" / name).read_bytes())
    return folder


def run(copy: Path, *arguments: str) -> tuple[str, str]:
    """Standard output and standard error of Python in the copy."""
    finished = subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": f"{copy}{os.pathsep}{copy / 'protos'}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout, finished.stderr


def test_both_services_keep_their_contract(copy: Path) -> None:
    said, _ = run(
        copy, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "-k", "not five_hundred", "tests/contract"
    )
    assert " passed" in said


def test_the_embedded_recognizers_load_and_the_log_says_that_they_are_slower(copy: Path) -> None:
    said, logged = run(copy, "-c", LOAD)
    assert said.split() == ["compact-facenet", "compact-resnet", "compact-senet"]
    assert logged.splitlines() == ["WARNING recognizers/inference is absent: networks run as built, slower"]
