"""`--pairs` of evaluate and replay: what is asked for, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from orchestrator.commands import evaluate, replay
from orchestrator.faces.data_set import DataSet
from orchestrator.faces.folder import read_face_folder
from orchestrator.session.planning import PAIRS_KS, RunRequest
from tests.support.reported import changed, make_run

Asked = Callable[..., RunRequest]
COPIED = tuple(
    f"facenet-features:literature-{rate}={score}"
    for rate, score in (("0.1", "0.256587"), ("0.01", "0.409131"), ("0.001", "0.591191"))
)


@pytest.fixture
def faces(tmp_path: Path) -> DataSet:
    """Four people with two photos each, no two of them alike, and a list of two pairs and an impostor."""
    for person, name in enumerate(("ada", "bob", "eve", "zoe")):
        for photo in (0, 1):
            path = tmp_path / "faces" / name / f"{photo}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (40 * person, 90 * photo, 0)).save(path)
    lines = ["probe,reference,impostor", "ada/0.jpg,ada/1.jpg,", "bob/1.jpg,bob/0.jpg,", ",,zoe/0.jpg"]
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    (tmp_path / "alone.csv").write_text("\n".join(lines[:3]))
    return read_face_folder(tmp_path / "faces")


@pytest.fixture
def arguments(tmp_path: Path, faces: DataSet) -> list[str]:
    return ["--faces", str(tmp_path / "faces"), "--pairs", str(tmp_path / "pairs.csv"), "--run", str(tmp_path / "new")]


@pytest.fixture
def evaluated(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What an evaluation asks for."""
    asked: list[RunRequest] = []
    monkeypatch.setattr(evaluate, "run_and_show", lambda options, request, protector: asked.append(request))

    def request(*options: str) -> RunRequest:
        CliRunner().invoke(evaluate.evaluate_command, [*arguments, *options], catch_exceptions=False)
        return asked[-1]

    return request


def refusal(arguments: list[str], *options: str) -> str:
    result = CliRunner().invoke(evaluate.evaluate_command, [*arguments, *options])
    assert result.exception is not None
    said = result.output if isinstance(result.exception, SystemExit) else str(result.exception)
    return " ".join(said.split())


def test_the_probes_of_the_list_are_cloaked_and_its_references_enrolled(evaluated: Asked) -> None:
    request = evaluated("--thresholds", "fmr:0.01")
    assert {name: [photo.name for photo in request.faces.photos(name)] for name in request.faces.identities} == {
        "ada": ["ada/0.jpg"],
        "bob": ["bob/1.jpg"],
    }
    assert request.gallery is not None
    enrolled = {name: [photo.name for photo in photos] for name, photos in request.gallery.split.enrolled.items()}
    assert enrolled == {"ada": ["ada/1.jpg"], "bob": ["bob/0.jpg"]}
    assert (request.usual_ks, request.subjects, request.gallery.thresholds) == (PAIRS_KS, None, ("fmr:0.01",))


def test_thresholds_that_papers_copy_are_spelt_out_for_target_models_that_have_them(evaluated: Asked) -> None:
    targets = ("--target-models", "dlib,facenet-features")
    for given, expected in (("literature", COPIED), ("dlib:strict=0.5,literature", ("dlib:strict=0.5", *COPIED))):
        request = evaluated("--given-thresholds", given, *targets)
        assert request.gallery is not None
        assert request.gallery.given_thresholds == expected


def test_finished_cloaks_of_the_probes_are_compared(tmp_path: Path, evaluated: Asked) -> None:
    for name, photo in (("ada", 0), ("ada", 1), ("bob", 0)):
        path = tmp_path / "cloaks" / "fog" / name / f"{photo}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (9, 9, 9)).save(path)
    request = evaluated("--cloaks", str(tmp_path / "cloaks"))
    assert request.faces.identities == {"ada"}  # of bob's probe there is no cloak
    assert [photo.name for photo in request.faces.photos("ada")] == ["ada/0.jpg"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        *(
            (f"--{name} 1", f"--{name}: expected none beside --pairs: the list says who is compared with whom")
            for name in ("gallery-photos", "non-mated", "impostors", "clean-gallery-photos")
        ),
        (
            "--thresholds fpir:0.1",
            "--thresholds: expected fmr:RATE beside --pairs, which compare with one person",
        ),
        (
            "--thresholds fmr:0.1 --invader localhost:1",
            "--thresholds: expected an invader that is started, got --invader localhost:1, which has its own",
        ),
        (
            "--given-thresholds dlib:0.6 --invader localhost:1",
            "--given-thresholds: expected an invader that is started, got --invader localhost:1, which has its own",
        ),
        (
            "--given-thresholds literature --target-models dlib",
            "--given-thresholds: literature: expected --target-models with matchers of facenet, ir152, irse50, mobile",
        ),
        ("--given-thresholds literature", "--given-thresholds: literature: expected --target-models with matchers of"),
    ],
)
def test_options_that_contradict_a_list_are_refused(arguments: list[str], options: str, complaint: str) -> None:
    assert refusal(arguments, *options.split()).startswith(complaint)


@pytest.mark.parametrize("threshold", ["dlib", "dlib:", "dlib:x", "dlib:A=1", "dlib:a=", "papers"])
def test_a_given_threshold_has_a_matcher_and_a_number(arguments: list[str], threshold: str) -> None:
    assert "expected MATCHER:NUMBER, MATCHER:LABEL=NUMBER or literature" in refusal(
        arguments, "--given-thresholds", threshold
    )


def test_without_impostors_nothing_is_calibrated(tmp_path: Path, arguments: list[str]) -> None:
    alone = [*arguments, "--pairs", str(tmp_path / "alone.csv")]
    assert refusal(alone, "--thresholds", "fmr:0.1").startswith("--thresholds: expected impostors in --pairs, on whom they")


def test_given_thresholds_are_those_of_pairs(tmp_path: Path, faces: DataSet) -> None:
    alone = ["--faces", str(tmp_path / "faces"), "--gallery-photos", "1", "--given-thresholds", "dlib:0.6"]
    assert refusal(alone) == "--given-thresholds: expected --pairs beside it, got none"


def test_a_replay_compares_the_kept_cloaks_of_the_list(
    tmp_path: Path, faces: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(tmp_path / "run", plan=changed(faces=faces, subjects=1))
    asked: list[RunRequest] = []
    monkeypatch.setattr(replay, "run_and_show", lambda options, request, kept: asked.append(request))
    command = [str(tmp_path / "run"), "--pairs", str(tmp_path / "pairs.csv")]
    refused = CliRunner().invoke(replay.replay_command, command)
    assert str(refused.exception) == "--pairs: expected --faces beside it, the data set that the list is of, got none"
    CliRunner().invoke(replay.replay_command, [*command, "--faces", str(tmp_path / "faces")], catch_exceptions=False)
    (request,) = asked
    assert request.pairs is not None
    assert set(request.pairs.by_identity) == {"ada", "bob"}
    assert request.usual_ks == PAIRS_KS
