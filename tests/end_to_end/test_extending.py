"""docs/extending.md, followed: its files written, its commands run in its order, its table compared.

The document's paths are those of a clone; here they are of a folder of the test's, the ports are free ones, and plug-ins are
installed to a folder on the path instead of into the environment that runs the tests.
"""

import json
import os
import re
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pandas as pd
import pytest
import torch
from torchvision.models import resnet18

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
SECONDS = 300


def blocks(language: str, *, after: str, before: str) -> list[str]:
    """The code blocks of a language between two headings."""
    part = DOCUMENT.partition(f"\n{after}\n")[2].partition(f"\n{before}\n")[0]
    found = re.findall(r"^```(\w*)\n(.*?)^```$", part, re.DOTALL | re.MULTILINE)
    return [text for named, text in found if named == language]


def commands(*, after: str, before: str) -> list[str]:
    """What stands behind the prompts, a command each."""
    lines = "".join(blocks("console", after=after, before=before)).replace("\\\n", "").splitlines()
    assert all(line.startswith("$ ") for line in lines)
    return [line.removeprefix("$ ") for line in lines]


@dataclass(frozen=True)
class Clone:
    """A folder in which the document's commands do what they do in a clone."""

    folder: Path
    ports: dict[str, str]  # the document's, and free ones

    def here(self, command: str) -> str:
        """The command with this environment's paths and ports."""
        command = command.replace(".venv/bin/", f"{Path(sys.executable).parent}/").replace("examples/", f"{ROOT}/examples/")
        command = command.replace(" -m pip install", " -m pip install --target build/site")
        for written, free in self.ports.items():
            command = command.replace(written, free)
        return command

    @property
    def environment(self) -> dict[str, str]:
        paths = [str(self.folder / "build" / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
        return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "120"}

    def run(self, command: str) -> str:
        """Runs a command to its end; its output."""
        finished = subprocess.run(
            self.here(command),
            shell=True,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert finished.returncode == 0, finished.stdout + finished.stderr
        return finished.stdout

    def start(self, command: str) -> subprocess.Popen[str]:
        """Starts a command that goes on in the background, and waits until it says that it listens."""
        process = subprocess.Popen(
            f"exec {self.here(command).removesuffix('&')}",
            shell=True,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline().startswith("listening on 127.0.0.1:")
        return process


def free_port() -> str:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return str(listening.getsockname()[1])


LONG = pytest.mark.thorough(
    "docs/extending.md", "examples/", "protector_service/", "recognizers/", "orchestrator/", "conformance/"
)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    folder = tmp_path_factory.mktemp("clone")
    (folder / "build").mkdir()
    return Clone(folder, {port: free_port() for port in sorted(set(re.findall(r"\b500\d\d\b", DOCUMENT)))})


@pytest.fixture(scope="module")
def outputs(clone: Clone) -> Iterator[dict[str, str]]:
    """What each command of "Run both", and of the matcher's "Try it", printed."""
    started: list[subprocess.Popen[str]] = []
    printed: dict[str, str] = {}
    try:
        for command in commands(after="### Run both", before="## Plug-ins"):
            if command.endswith("&"):
                started.append(clone.start(command))
            else:
                printed[command] = clone.run(command)
        assert len(started) == 3
        yield printed
    finally:
        for process in started:
            process.terminate()
            process.communicate(timeout=SECONDS)


def table(text: str) -> list[list[str]]:
    """The cells of a printed table; of a PSR with its interval, the PSR."""
    rows = [line.strip("│ ").split("│") for line in text.splitlines() if line.startswith("│")]
    return [[re.sub(r" \[.*\]", "", cell.strip()) for cell in row] for row in rows]


@pytest.mark.parametrize("example", ["minimal_protector.py", "minimal_invader.py", "minimal_matcher.py"])
def test_an_example_has_about_a_hundred_lines(example: str) -> None:
    assert len((ROOT / "examples" / example).read_text().splitlines()) < 110


@LONG
def test_the_examples_conform(outputs: dict[str, str]) -> None:
    last_lines = [output.splitlines()[-1] for command, output in outputs.items() if " conformance " in command]
    assert len(last_lines) == 3
    for line in last_lines:
        assert re.fullmatch(r"\d+ checks in [\d.]+ s: \d+ passed, \d+ not applicable", line)


@LONG
def test_the_examples_are_evaluated_and_the_table_is_the_document_s(clone: Clone, outputs: dict[str, str]) -> None:
    (evaluated,) = (output for command, output in outputs.items() if "build/extending" in command)
    (shown,) = blocks("", after="### Run both", before="### An embedding recognizer as a service")
    assert len(table(shown)) == len(table(evaluated)) == 6
    for expected, came in zip(table(shown), table(evaluated), strict=True):
        assert came[:3] == expected[:3]
        for one, other in zip(expected[3:], came[3:], strict=True):
            # One subject of eight: processors round differently, and a weak recognizer's ranks are close.
            assert (one == other == "") or abs(float(one) - float(other)) <= 12.5
    psr = pd.read_csv(clone.folder / "build" / "extending" / "psr.csv")
    assert set(psr.n) == {8}
    first = psr[psr.k == 1].set_index(["method", "epsilon"]).psr
    assert first["none", 0] < first["blur", 64], "a blur does something, and the recognizer knows its people without it"


@LONG
def test_the_matcher_of_the_example_is_evaluated_with_its_gallery_and_its_threshold(
    clone: Clone, outputs: dict[str, str]
) -> None:
    run = clone.folder / "build" / "matcher"
    stated = json.loads((run / "manifest.json").read_text())["target_models"]["pixels"]
    assert (stated["kind"], stated["identities"]) == ("matcher", 8)
    assert [threshold["name"] for threshold in stated["thresholds"]] == ["given"]
    photos = list((clone.folder / "build" / "gallery").glob("*/*.jpg"))
    lines = sorted(f"{photo.parent.name}\t{sha256(photo.read_bytes()).hexdigest()}" for photo in photos)
    # In one of them MTCNN finds no face, or narrowly does.
    enrolled = [lines, *([line for line in lines if line is not left_out] for left_out in lines)]
    assert stated["gallery_sha256"] in {sha256("\n".join(each).encode()).hexdigest() for each in enrolled}
    assert set(pd.read_csv(run / "psr.csv").target_model) == {"pixels"}
    (evaluated,) = (output for command, output in outputs.items() if "build/matcher" in command)
    assert "that a photo is both enrolled and searched cannot be excluded" in " ".join(evaluated.split())


@LONG
def test_the_plug_ins_are_installed_found_and_run(clone: Clone) -> None:
    folder = clone.folder / "build" / "my-plugins"
    package = folder / "my_plugins"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    method, network = blocks("python", after="## Plug-ins", before="### Install them")
    (package / "methods.py").write_text(method)
    (package / "networks.py").write_text(network)
    (metadata,) = blocks("toml", after="## Plug-ins", before="## No such heading")
    (folder / "pyproject.toml").write_text(metadata)
    (added,) = tomllib.loads(metadata)["project"]["entry-points"]["protector_service.methods"]
    checkpoints = clone.folder / "build" / "checkpoints"
    checkpoints.mkdir()
    torch.save(resnet18(num_classes=3).state_dict(), checkpoints / "resnet18.pt")
    (checkpoints / "labels.txt").write_text("alice\nbob\ncarol\n")
    installed, inspected, evaluated = map(clone.run, commands(after="### Install them", before="## No such heading"))
    assert "my-plugins-1.0" in installed
    assert "architecture: resnet18" in re.sub(" +", " ", inspected)
    assert re.search(rf"^compact FaceNet +compact ResNet +{re.escape(added)} ", evaluated, re.MULTILINE)
    psr = pd.read_csv(clone.folder / "build" / "plugins" / "psr.csv")
    assert set(psr.method) > {"none", "noise", added}, "it is compared with one of the bench's own"
