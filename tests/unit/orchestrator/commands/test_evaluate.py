"""What `evaluate` takes beside finished cloaks, and what it refuses."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator.commands import evaluate
from orchestrator.commands.evaluate import evaluate_command
from orchestrator.errors import InputError
from orchestrator.faces.split import SplitSizes
from orchestrator.session.planning import RunRequest
from tests.support.plans import write_faces

# What is said when all of the cloaks was found good.
TAKEN = "--tls-certificate, --tls-key and --tls-authority: expected all three or none"


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """A run with finished cloaks, and an invader that can only be asked with two more options."""
    write_faces(tmp_path / "faces", ("alice",))
    write_faces(tmp_path / "cloaks" / "fog", ("alice",))
    chosen = ["--faces", tmp_path / "faces", "--cloaks", tmp_path / "cloaks", "--run", tmp_path / "run"]
    return [*map(str, chosen), "--tls-certificate", "certificate.pem"]


def failure(arguments: list[str], **environment: str) -> str:
    result = CliRunner().invoke(evaluate_command, arguments, env=environment)
    assert result.exception is not None
    return str(result.exception) if isinstance(result.exception, Exception) else result.output


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("--protector", "localhost:2"), ("--protector-checkpoints", "weights"), ("--source-models", "a")),
        *(("--epsilons", "8"), ("--placement", "photo")),
    ],
)
def test_what_is_asked_of_a_protector_is_refused_beside_finished_cloaks(
    arguments: list[str], option: str, value: str
) -> None:
    assert failure([*arguments, option, value]).startswith(f"{option}: expected none beside --cloaks: ")


def test_a_protector_that_the_environment_names_is_no_objection(arguments: list[str]) -> None:
    assert failure(arguments, DEID_ORCHESTRATOR_PROTECTOR="localhost:2") == TAKEN


def test_a_table_of_names_needs_the_folder_that_they_are_in(arguments: list[str]) -> None:
    assert failure(["--names", "names.csv"]).startswith("--names: expected --cloaks beside it")


def test_files_can_be_left_as_they_are_where_there_are_some(arguments: list[str]) -> None:
    assert failure([*arguments, "--conditions", "as-is,jpeg:95"]) == TAKEN
    assert failure(["--conditions", "as-is+resize:112"]) == (
        "--conditions: as-is+resize:112: expected jpeg:QUALITY or png first: only the finished pictures of --cloaks can be "
        "left as they are"
    )


def test_methods_are_those_of_the_folder(arguments: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--methods: expected one of .*cloaks \(fog\), got bim$"):
        CliRunner().invoke(evaluate_command, [*arguments, "--methods", "bim"], catch_exceptions=False)
    assert not (tmp_path / "run").exists()


@pytest.fixture
def people(tmp_path: Path) -> list[str]:
    """A data set of four people with two photos each, and an invader that can only be asked with two more options."""
    for photo in ("0", "1"):
        write_faces(tmp_path / photo, ("ada", "bob", "eve", "zoe"))
    for written in tmp_path.glob("[01]/*/0.jpg"):
        person = tmp_path / "people" / written.parent.name
        person.mkdir(parents=True, exist_ok=True)
        written.rename(person / f"{written.parts[-3]}.jpg")
    return ["--faces", str(tmp_path / "people"), "--run", str(tmp_path / "run"), "--tls-certificate", "certificate.pem"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("--gallery-photos 0 --non-mated 1", "--non-mated: expected --gallery-photos beside it, of at least 1, got none"),
        ("--non-mated 1", "--non-mated: expected --gallery-photos beside it, of at least 1, got none"),
        ("--impostors 1 --thresholds fpir:0.1", "--impostors: expected --gallery-photos beside it, of at least 1, got none"),
        ("--impostors 1 --gallery-photos 1", "--impostors: expected --thresholds beside it, which are calibrated on them"),
        ("--thresholds fpir:0.1", "--thresholds: expected a gallery, got none: --gallery-photos of evaluate makes one"),
        ("--matchers facenet", "--matchers: expected a gallery, got none: --gallery-photos of evaluate makes one"),
        (
            "--gallery-photos 1 --thresholds fpir:0.1",
            "--thresholds: expected --impostors beside it, people to calibrate them on, got none",
        ),
        (
            "--gallery-photos 2",
            "--gallery-photos: expected people with at least 3 photos, 2 to enrol and one to",
        ),
        ("--gallery-photos 1 --non-mated 4", "--non-mated: expected fewer people than the 4 of --faces, "),
        (
            "--gallery-photos 1 --matchers facenet --invader localhost:1",
            "--matchers: expected an invader that is started, got --invader localhost:1, which has its own",
        ),
        (
            "--gallery-photos 1 --impostors 1 --thresholds fpir:0.1 --invader localhost:1",
            "--thresholds: expected an invader that is started, got --invader localhost:1, which has its own",
        ),
        (
            "--conditions jpeg:95/gallery",
            "--conditions: jpeg:95/gallery: expected people of --faces who are enrolled, got none: --gallery-photos says",
        ),
        (
            "--gallery-photos 1 --clean-gallery-photos 1 --conditions threat",
            "--clean-gallery-photos: expected fewer than the 1 of --gallery-photos, so that some are cloaked, got 1",
        ),
        (
            "--gallery-photos 0 --clean-gallery-photos 1 --conditions threat",
            "--clean-gallery-photos: expected --gallery-photos beside it, of at least 1, got none",
        ),
        (
            "--gallery-photos 1 --conditions threat --until-halfwidth 10",
            "--conditions: jpeg:95/adaptive: expected no --until-halfwidth beside it",
        ),
    ],
)
def test_a_gallery_that_cannot_be_is_refused_by_the_option(people: list[str], options: str, complaint: str) -> None:
    assert failure([*people, *options.split()]).startswith(complaint)


@pytest.mark.parametrize("threshold", ["eer", "fpir:", "fpir:0", "fpir:1", "fpir:0.0", "fmr:1e-3", "fpir:-0.1", "given"])
def test_a_threshold_is_named_by_a_rate(people: list[str], threshold: str) -> None:
    said = " ".join(failure([*people, "--gallery-photos", "1", "--thresholds", threshold]).split())
    assert "expected fpir:RATE or fmr:RATE with a rate above 0 and below 1" in said


def test_a_threshold_is_named_once(people: list[str]) -> None:
    assert "expected no repetition, got fmr:0.1 twice" in failure([*people, "--thresholds", "fmr:.1,fmr:0.10"])


@pytest.mark.parametrize(
    "options",
    [
        "",
        "--gallery-photos 1",
        "--gallery-photos 1 --non-mated 2",
        "--gallery-photos 1 --impostors 1 --thresholds fpir:0.5,fmr:.01 --matchers facenet,senet50",
        "--gallery-photos 1 --impostors 1 --invader localhost:1",
        "--gallery-photos 1 --conditions threat",
        "--gallery-photos 1 --conditions jpeg:95/gallery,jpeg:95/both --discard-cloaks",
    ],
)
def test_a_gallery_that_can_be_is_taken(people: list[str], options: str) -> None:
    assert failure([*people, *options.split()]) == TAKEN


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ("", None),
        ("--target-models compact-senet", None),
        ("--target-models compact-senet --source-models compact-facenet+compact-senet", None),
        ("--target-models compact-senet --source-models dlib", SplitSizes(2, 50)),
        ("--target-models compact-senet,dlib", SplitSizes(2, 50)),
        ("--target-models compact-senet --gallery-photos 1", SplitSizes(1, 50)),
        ("--target-models compact-senet --non-mated 3", SplitSizes(2, 3)),
        ("--gallery-photos 0", None),
        ("--target-models dlib --faces synthetic:identities=20", SplitSizes(2, 0)),
        ("--target-models dlib --faces synthetic:photographs=1", None),
        ("--conditions threat", SplitSizes(2, 50)),
        ("--conditions threat --target-models compact-senet", SplitSizes(2, 50)),
        ("--conditions threat --clean-gallery-photos 1", SplitSizes(2, 50, clean=1)),
    ],
)
def test_synthetic_people_are_enrolled_where_a_model_is_named_that_may_be_a_matcher(
    monkeypatch: pytest.MonkeyPatch, options: str, sizes: SplitSizes | None
) -> None:
    asked: list[RunRequest] = []
    monkeypatch.setattr(evaluate, "run_and_show", lambda options, request, protector: asked.append(request))
    CliRunner().invoke(evaluate_command, options.split(), catch_exceptions=False)
    (request,) = asked
    assert (None if request.gallery is None else request.gallery.split.sizes) == sizes
    assert request.gallery is None or request.gallery.is_default is ("--gallery" not in options and "--non" not in options)


def test_of_finished_cloaks_the_photo_that_has_them_is_the_probe(
    monkeypatch: pytest.MonkeyPatch, people: list[str], tmp_path: Path
) -> None:
    for person in (tmp_path / "people").iterdir():
        cloak = tmp_path / "fog" / "fog" / person.name / "1.jpg"
        cloak.parent.mkdir(parents=True)
        cloak.write_bytes((person / "1.jpg").read_bytes())
    asked: list[RunRequest] = []
    monkeypatch.setattr(evaluate, "run_and_show", lambda options, request, protector: asked.append(request))
    options = ["--cloaks", str(tmp_path / "fog"), "--gallery-photos", "1"]
    CliRunner().invoke(evaluate_command, [*people, *options], catch_exceptions=False)
    gallery = asked[0].gallery
    assert gallery is not None
    enrolled = [photo.key for photos in gallery.split.enrolled.values() for photo in photos]
    assert sorted(enrolled) == ["ada/0.jpg", "bob/0.jpg", "eve/0.jpg", "zoe/0.jpg"]
