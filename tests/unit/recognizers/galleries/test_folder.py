"""Folders of photos by identity."""

import os
import unicodedata
from pathlib import Path

import pytest

from recognizers.errors import GalleryError
from recognizers.galleries.folder import read_photo_folder

OPTION = "--gallery"


def refusal(folder: Path) -> str:
    with pytest.raises(GalleryError) as caught:
        read_photo_folder(folder, option=OPTION)
    return str(caught.value)


def test_photos_are_listed_by_identity_bytewise_and_other_files_are_passed_over(tmp_path: Path) -> None:
    for name in ("b/2.JPG", "b/1.png", "a/1.jpeg", "B/1.jfif", "b/notes.txt", "b/.hidden.png", ".trash/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "stray.png").touch()
    photos = read_photo_folder(tmp_path, option=OPTION)
    assert [(photo.identity, photo.path.name) for photo in photos] == [
        ("B", "1.jfif"),
        ("a", "1.jpeg"),
        ("b", "1.png"),
        ("b", "2.JPG"),
    ]


def test_names_are_in_normal_form_c(tmp_path: Path) -> None:
    folder = tmp_path / unicodedata.normalize("NFD", "Zoé")
    folder.mkdir()
    (folder / "1.png").touch()
    assert [photo.identity for photo in read_photo_folder(tmp_path, option=OPTION)] == ["Zoé"]


def test_a_folder_that_is_none_or_holds_nobody_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "absent") == f"--gallery: {tmp_path / 'absent'}: cannot be read: No such file or directory"
    assert "expected a folder of identity folders with photos, got one with none" in refusal(tmp_path)


def test_an_identity_without_photos_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert f"--gallery: {tmp_path / 'empty'}: expected at least one photo" in refusal(tmp_path)


@pytest.mark.parametrize(("name", "expected"), [(b"\xff", "a folder named in UTF-8"), (b"a\nb", "a printable name")])
def test_a_name_that_is_no_identity_is_refused(tmp_path: Path, name: bytes, expected: str) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    folder.mkdir()
    (folder / "1.png").touch()
    assert expected in refusal(tmp_path)
