"""The photos that started services enrol: written as IDENTITY/FILE, for their owner only, and gone in the end."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestrator.errors import InputError, OrchestratorError
from orchestrator.faces.data_set import Photo
from orchestrator.faces.folder import read_face_folder
from orchestrator.faces.synthetic import read_synthetic_faces
from orchestrator.run_folder.folder import RunFolder
from orchestrator.run_folder.galleries import gallery_folders, left_galleries
from tests.support.plans import write_faces

ADA = [Photo("ada", f"{number}.jpg", f"photo {number}".encode) for number in range(3)]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def expected(photos: Sequence[Photo]) -> dict[str, bytes]:
    return {photo.key: photo.read() for photo in photos}


def test_photos_that_are_no_files_are_written_for_their_owner_only_and_removed(tmp_path: Path) -> None:
    with gallery_folders(tmp_path) as folders:
        for photo in ADA[:2]:
            folders.write(folders.enrolled, photo)
        folders.write(folders.impostors, ADA[2])
        assert contents(folders.enrolled) == expected(ADA[:2])
        assert contents(folders.impostors) == expected(ADA[2:])
        assert {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")} == {0o700, 0o600}
        assert left_galleries(tmp_path) == [folders.enrolled.parent]
    assert list(tmp_path.iterdir()) == []


def test_synthetic_photos_are_written_as_they_are_drawn(tmp_path: Path) -> None:
    faces = read_synthetic_faces("synthetic:identities=1,photographs=1")
    (photo,) = (photo for identity in faces.identities for photo in faces.photos(identity))
    with gallery_folders(tmp_path) as folders:
        folders.write(folders.enrolled, photo)
        assert contents(folders.enrolled) == {photo.key: photo.read()}


def test_photos_that_are_files_are_linked_to_and_stay(tmp_path: Path) -> None:
    faces = read_face_folder(write_faces(tmp_path / "faces", ("ada", "Ren\N{LATIN SMALL LETTER E WITH ACUTE}e")))
    photos = [photo for identity in faces.identities for photo in faces.photos(identity)]
    with gallery_folders(tmp_path) as folders:
        for photo in photos:
            folders.write(folders.enrolled, photo)
        assert contents(folders.enrolled) == expected(photos)
        assert all(path.is_symlink() for path in folders.enrolled.glob("*/*"))
    assert contents(tmp_path / "faces") == expected(photos)


def test_several_orchestrators_in_one_folder_do_not_take_each_others_photos_away(tmp_path: Path) -> None:
    with gallery_folders(tmp_path) as first:
        first.write(first.enrolled, ADA[0])
        with gallery_folders(tmp_path) as second:
            second.write(second.enrolled, ADA[0])
        assert contents(first.enrolled) == expected(ADA[:1])


def test_what_cannot_be_written_or_read_is_an_error_and_what_fails_within_is_its_own(tmp_path: Path) -> None:
    with (
        pytest.raises(OrchestratorError, match=r"nowhere.*: the gallery cannot be made: No such file"),
        gallery_folders(tmp_path / "nowhere"),
    ):
        pytest.fail("there is no gallery")
    gone = Photo("ada", "gone.jpg", (tmp_path / "gone.jpg").read_bytes)
    with (
        gallery_folders(tmp_path) as folders,
        pytest.raises(OrchestratorError, match=r"gone\.jpg: the gallery cannot be made: No such file"),
    ):
        folders.write(folders.enrolled, gone)
    with pytest.raises(OSError, match="of another"), gallery_folders(tmp_path):
        raise OSError("of another")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_which_a_run_begins_may_hold_them(tmp_path: Path) -> None:
    (tmp_path / "gallery-abc").mkdir()
    RunFolder(tmp_path).check()
    (tmp_path / "galleries").mkdir()
    with pytest.raises(InputError, match=r"got .* with galleries"):
        RunFolder(tmp_path).check()
