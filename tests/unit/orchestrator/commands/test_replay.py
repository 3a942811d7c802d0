"""The gallery of a replay: that of the run, made again where its people are at hand."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator.commands import replay
from orchestrator.errors import InputError
from orchestrator.experiment.placement import Placement
from orchestrator.faces.data_set import DataSet
from orchestrator.faces.folder import read_face_folder
from orchestrator.faces.split import SplitSizes, split
from orchestrator.faces.synthetic import read_synthetic_faces
from orchestrator.run_folder.folder import MAX_BOX_BYTES
from orchestrator.session.planning import RunRequest
from tests.support.plans import write_faces
from tests.support.reported import changed, make_run

SIZES = SplitSizes(1, 2)
PEOPLE = read_synthetic_faces("synthetic:identities=9,photographs=2")

Replay = Callable[..., RunRequest]


@pytest.fixture
def replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Replay:
    """What a replay of the run in a folder asks for."""
    asked: list[RunRequest] = []
    monkeypatch.setattr(replay, "run_and_show", lambda options, request, kept: asked.append(request))

    def request(*options: str) -> RunRequest:
        CliRunner().invoke(replay.replay_command, [str(tmp_path / "run"), *options], catch_exceptions=False)
        return asked[-1]

    return request


def keep_run(root: Path, faces: DataSet, gallery: SplitSizes | None) -> None:
    make_run(root / "run", plan=changed(faces=faces, gallery=gallery, subjects=1))


def folder(root: Path) -> Path:
    """Five people with two photos each."""
    for photo in ("0", "1"):
        for written in sorted(write_faces(root / photo, "abcde").glob("*/0.jpg")):
            person = root / "faces" / written.parent.name
            person.mkdir(parents=True, exist_ok=True)
            written.rename(person / f"{photo}.jpg")
    return root / "faces"


def test_synthetic_people_are_divided_as_they_were(tmp_path: Path, replayed: Replay) -> None:
    keep_run(tmp_path, PEOPLE, SIZES)
    gallery = replayed("--matchers", "a").gallery
    assert gallery is not None
    assert gallery.matchers == ("a",)
    expected = split(PEOPLE, SIZES, seed=0)
    assert (gallery.split.sizes, gallery.split.non_mated) == (SIZES, expected.non_mated)
    assert gallery.split.gallery_sha256() == expected.gallery_sha256()


def test_people_of_a_folder_are_divided_where_it_is_named_and_is_the_same(tmp_path: Path, replayed: Replay) -> None:
    faces = read_face_folder(folder(tmp_path))
    keep_run(tmp_path, faces, SIZES)
    assert replayed().gallery is None
    gallery = replayed("--faces", str(tmp_path / "faces")).gallery
    assert gallery is not None
    assert gallery.split.gallery_sha256() == split(faces, SIZES, seed=0).gallery_sha256()
    (tmp_path / "faces" / "a" / "0.jpg").rename(tmp_path / "faces" / "a" / "2.jpg")
    with pytest.raises(InputError, match=r"--faces: expected the data set of RUN, .*, got another: "):
        replayed("--faces", str(tmp_path / "faces"))


def test_cloaks_in_whole_photos_need_the_photos(tmp_path: Path, replayed: Replay) -> None:
    faces = read_face_folder(folder(tmp_path))
    make_run(tmp_path / "run", plan=changed(faces=faces, subjects=1, placement=Placement.PHOTO))
    with pytest.raises(InputError) as failure:
        replayed()
    assert str(failure.value) == "--faces: expected the data set of RUN, whose cloaks are parts of its photos, got none"
    request = replayed("--faces", str(tmp_path / "faces"))
    assert request.placement is Placement.PHOTO
    assert request.max_cloak_bytes == MAX_BOX_BYTES


def test_synthetic_people_whose_photos_were_cloaked_are_rendered_again(tmp_path: Path, replayed: Replay) -> None:
    make_run(tmp_path / "run", plan=changed(faces=PEOPLE, subjects=1, placement=Placement.PHOTO))
    request = replayed()
    assert request.placement is Placement.PHOTO
    assert request.gallery is None


def test_a_run_without_a_gallery_gets_none(tmp_path: Path, replayed: Replay) -> None:
    keep_run(tmp_path, PEOPLE, None)
    assert replayed().gallery is None
    with pytest.raises(
        InputError, match="--faces: expected a RUN with a gallery, or with cloaks in whole photos, got one without"
    ):
        replayed("--faces", "synthetic:")
    with pytest.raises(InputError, match="--matchers: expected a gallery, got none"):
        replayed("--matchers", "facenet")
