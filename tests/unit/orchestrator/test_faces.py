"""Which photos a data set holds, and the order in which subjects are drawn from it."""

import hashlib
import os
from pathlib import Path

import pytest

from orchestrator.errors import InputError
from orchestrator.face_folder import PhotoFile, read_face_folder
from orchestrator.faces import drawn_identities, drawn_photos


def write(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"a photo, never opened here")
    return root


def test_identities_are_drawn_in_the_order_of_their_digests() -> None:
    # printf '7\nNAME' | sha256sum: dave 5773..., carol 7332..., bob 7e19..., alice ac86...
    assert drawn_identities(frozenset({"alice", "bob", "carol", "dave"}), seed=7) == ["dave", "carol", "bob", "alice"]


def test_a_subject_s_photo_is_drawn_in_the_order_of_digests_too(tmp_path: Path) -> None:
    # printf '7\nalice/FILE' | sha256sum: b.jpg 0373..., c.png 1508..., a.jpg d4ff...
    folder = read_face_folder(write(tmp_path, "alice/a.jpg", "alice/b.jpg", "alice/c.png"))
    photos = list(drawn_photos(folder, "alice", seed=7))
    assert [photo.name for photo in photos] == ["alice/b.jpg", "alice/c.png", "alice/a.jpg"]
    assert [photo.path for photo in photos if isinstance(photo, PhotoFile)] == [
        tmp_path / "alice" / name for name in ("b.jpg", "c.png", "a.jpg")
    ]


def test_another_seed_draws_in_another_order() -> None:
    names = frozenset(f"identity_{place}" for place in range(20))
    assert drawn_identities(names, seed=0) != drawn_identities(names, seed=1)
    assert sorted(drawn_identities(names, seed=1)) == sorted(names)


def test_a_larger_draw_begins_as_a_smaller_one() -> None:
    names = frozenset(f"identity_{place}" for place in range(20))
    fewer = frozenset(sorted(names)[:15])
    assert [name for name in drawn_identities(names, seed=3) if name in fewer] == drawn_identities(fewer, seed=3)


def test_names_beyond_ascii_are_drawn_by_their_utf_8_bytes(tmp_path: Path) -> None:
    names = ("José", "Zoë", "李雷", "Ωμέγα")
    folder = read_face_folder(write(tmp_path, *(f"{name}/фото.jpg" for name in names)))
    expected = sorted(names, key=lambda name: hashlib.sha256(b"5\n" + name.encode()).digest())
    assert drawn_identities(folder.identities, seed=5) == expected
    assert [photo.name for photo in drawn_photos(folder, "José", seed=5)] == ["José/фото.jpg"]


def test_a_file_name_that_is_not_utf_8_is_no_error(tmp_path: Path) -> None:
    write(tmp_path, "alice/a.jpg")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/alice/caf\xe9.jpg")).write_bytes(b"a name in Latin-1")
    folder = read_face_folder(tmp_path)
    assert len(list(drawn_photos(folder, "alice", seed=0))) + len(folder.skipped) == 2
    assert len(folder.sha256()) == 64


def test_what_is_read_does_not_depend_on_the_order_in_which_the_file_system_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"identity_{place}/{photo}.jpg" for place in range(9) for photo in range(3)]
    folder = read_face_folder(write(tmp_path, *names, "z.txt", "a.txt"))
    scandir, iterdir = os.scandir, Path.iterdir

    def backwards(path: Path) -> list[os.DirEntry[str]]:
        return sorted(scandir(path), key=lambda entry: entry.name, reverse=True)

    monkeypatch.setattr(os, "scandir", backwards)
    monkeypatch.setattr(Path, "iterdir", lambda path: iter(sorted(iterdir(path), reverse=True)))
    again = read_face_folder(tmp_path)
    assert again == folder
    assert list(again.names) == sorted(again.names)
    assert again.sha256() == folder.sha256()


def test_the_digest_of_a_data_set_changes_with_any_photo_s_name(tmp_path: Path) -> None:
    before = read_face_folder(write(tmp_path, "alice/a.jpg", "bob/b.jpg")).sha256()
    assert before == hashlib.sha256(b"alice/a.jpg\nbob/b.jpg\n").hexdigest()
    assert read_face_folder(write(tmp_path, "bob/c.jpg")).sha256() != before


def test_other_files_are_skipped_and_named(tmp_path: Path) -> None:
    write(tmp_path, "alice/a.jpg", "alice/notes.txt", "alice/b.webp", "readme.md", "portrait.jpg", "bob/only.gif")
    folder = read_face_folder(tmp_path)
    assert dict(folder.names) == {"alice": ["a.jpg"]}
    assert folder.skipped == ("alice/b.webp", "alice/notes.txt", "bob/only.gif", "portrait.jpg", "readme.md")


def test_endings_count_in_capitals_too(tmp_path: Path) -> None:
    folder = read_face_folder(write(tmp_path, "alice/A.JPG", "alice/b.Jpeg", "alice/c.PNG"))
    assert list(folder.names["alice"]) == ["A.JPG", "b.Jpeg", "c.PNG"]
    assert folder.skipped == ()


def test_folders_inside_an_identity_s_folder_are_skipped_and_named(tmp_path: Path) -> None:
    folder = read_face_folder(write(tmp_path, "alice/a.jpg", "alice/more/b.jpg"))
    assert dict(folder.names) == {"alice": ["a.jpg"]}
    assert folder.skipped == ("alice/more",)


def test_an_identity_folder_without_photos_is_no_identity(tmp_path: Path) -> None:
    (tmp_path / "nobody").mkdir()
    assert read_face_folder(write(tmp_path, "alice/a.jpg")).identities == {"alice"}


def test_identity_folders_that_are_links_count(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", "a.jpg")
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "alice").symlink_to(tmp_path / "elsewhere")
    assert dict(read_face_folder(tmp_path / "faces").names) == {"alice": ["a.jpg"]}


@pytest.mark.parametrize("names", [(), ("portrait.jpg",), ("alice/notes.txt",)])
def test_a_data_set_without_photos_in_identity_folders_is_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as refused:
        read_face_folder(write(tmp_path, *names))
    assert str(refused.value) == (
        f"--faces: expected a folder of identity folders with .jpeg, .jpg, .png files, got {tmp_path} with none"
    )


@pytest.mark.parametrize("name", ["absent", "file.jpg"])
def test_what_is_no_folder_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "file.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"^--faces: .*" + name):
        read_face_folder(tmp_path / name)
