"""`inspect` of an ONNX file: what it is, and whether it can be used."""

from pathlib import Path

import pytest
from PIL import Image

from recognizers.__main__ import main
from synthetic_faces import Population
from tests.support.onnx_files import card_of, linear_model, needs_onnx, write_onnx
from tests.support.programs import Program

pytestmark = needs_onnx


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Program:
    return Program(main, monkeypatch, capfd)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Two of one person, and one of another."""
    folder, people = tmp_path_factory.mktemp("photos"), Population(2)
    paths = []
    for person, number in ((1, 1), (1, 2), (2, 1)):
        paths.append(folder / f"{person}-{number}.png")
        Image.fromarray(people.photograph(person, number)).save(paths[-1])
    return tuple(paths)


def test_a_file_that_can_be_used_is_described(run: Program, tmp_path: Path) -> None:
    model = linear_model()
    model.producer_name, model.producer_version = "a tool", "1.2"
    path = write_onnx(tmp_path, model)
    answer = run("inspect", path)
    assert (answer.status, answer.err) == (0, "")
    facts = answer.facts
    assert len(facts.pop("sha256")) == 64
    assert facts == {
        "file": str(path),
        "format": "ONNX, opset 17, made by a tool 1.2",
        "operators": "1 Flatten, 1 MatMul",
        "input": "image FLOAT (batch, 3, 8, 8)",
        "output": "features FLOAT (batch, 6)",
        "parameters": "1,152",
        "verdict": "can be a target model, linear: square faces, compared by cosine distance, as file.card.json says",
    }


def test_a_file_that_cannot_is_described_and_refused(run: Program, tmp_path: Path) -> None:
    path = write_onnx(tmp_path)
    card_of(path).unlink()
    answer = run("inspect", path)
    assert answer.status == 2
    assert answer.facts["operators"] == "1 Flatten, 1 MatMul"
    assert "verdict" not in answer.facts
    (line,) = answer.err.splitlines()
    assert line.startswith(f"error: {card_of(path)}: an ONNX file needs a card beside it")


def test_what_a_hostile_file_says_of_itself_is_printed_in_a_line(run: Program, tmp_path: Path) -> None:
    model = linear_model()
    model.producer_name = "\x1b[31m\nverdict: can be used"
    model.graph.node[0].op_type = "Re\x1blu" * 100
    model.graph.input[0].type.tensor_type.elem_type = 77
    answer = run("inspect", write_onnx(tmp_path, model))
    assert answer.status == 2
    assert "\x1b" not in answer.out + answer.err
    assert list(answer.facts) == ["file", "format", "operators", "input", "output", "parameters", "sha256"]


def test_photos_that_are_given_are_compared(run: Program, tmp_path: Path, photos: tuple[Path, ...]) -> None:
    path = write_onnx(tmp_path)
    answer = run("inspect", path, "--self-test", *photos)
    assert (answer.status, answer.err) == (0, "")
    assert "similarity" in answer.facts["self-test"]
    exchanged = run("inspect", path, "--self-test", photos[0], photos[0], photos[2]).facts["self-test"]
    assert exchanged.startswith("passed: cosine similarity 1.000 of one person's two photos")


def test_photos_that_the_card_names_are_compared(run: Program, tmp_path: Path, photos: tuple[Path, ...]) -> None:
    """The same photo is that of another person: a network can only fail."""
    path = write_onnx(tmp_path, self_test=[str(photos[0]), str(photos[1]), str(photos[0])])
    answer = run("inspect", path)
    assert answer.status == 0
    assert answer.facts["self-test"].startswith("FAILED: ")


def test_what_is_no_photo_is_refused(run: Program, tmp_path: Path, photos: tuple[Path, ...]) -> None:
    path = write_onnx(tmp_path)
    answer = run("inspect", path, "--self-test", photos[0], path, photos[2])
    assert answer.status == 2
    assert f"error: self-test: {path}: expected a photo, got none" in answer.err
