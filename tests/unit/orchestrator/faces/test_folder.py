"""Which photos a data set holds, and the order in which subjects are drawn from it."""

import contextlib
import errno
import hashlib
import os
import unicodedata
from pathlib import Path

import pytest

from orchestrator.errors import InputError
from orchestrator.faces import folder
from orchestrator.faces.data_set import drawn_identities, drawn_photos, text_of
from orchestrator.faces.folder import read_face_folder

ZOE = "Zoë"  # normal form C


def write(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode(errors="surrogateescape"))
    return root


def test_identities_are_drawn_in_the_order_of_their_digests() -> None:
    # printf '7\nNAME' | sha256sum: dave 5773..., carol 7332..., bob 7e19..., alice ac86...
    assert drawn_identities(frozenset({"alice", "bob", "carol", "dave"}), seed=7) == ["dave", "carol", "bob", "alice"]


def test_a_subject_s_photo_is_drawn_in_the_order_of_digests_too(tmp_path: Path) -> None:
    # printf '7\nalice/FILE' | sha256sum: b.jpg 0373..., c.png 1508..., a.jpg d4ff...
    folder = read_face_folder(write(tmp_path, "alice/a.jpg", "alice/b.jpg", "alice/c.png"))
    photos = list(drawn_photos(folder, "alice", seed=7))
    assert [photo.name for photo in photos] == ["alice/b.jpg", "alice/c.png", "alice/a.jpg"]
    assert [photo.read() for photo in photos] == [photo.name.encode() for photo in photos]


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
    scandir = os.scandir

    def backwards(path: Path) -> contextlib.nullcontext[list[os.DirEntry[str]]]:
        return contextlib.nullcontext(sorted(scandir(path), key=lambda entry: entry.name, reverse=True))

    monkeypatch.setattr(os, "scandir", backwards)
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
    assert folder.skipped == (
        "alice/b.webp (WebP: convert it to JPEG or PNG)",
        "alice/notes.txt",
        "bob/only.gif (GIF: convert it to JPEG or PNG)",
        "portrait.jpg",
        "readme.md",
    )


def test_endings_count_in_capitals_too(tmp_path: Path) -> None:
    folder = read_face_folder(write(tmp_path, "alice/A.JPG", "alice/b.Jpeg", "alice/c.PNG", "alice/d.jfif", "alice/e.JPE"))
    assert list(folder.names["alice"]) == ["A.JPG", "b.Jpeg", "c.PNG", "d.jfif", "e.JPE"]
    assert folder.skipped == ()


def test_folders_inside_an_identity_s_folder_are_skipped_and_named(tmp_path: Path) -> None:
    folder = read_face_folder(write(tmp_path, "alice/a.jpg", "alice/more/b.jpg"))
    assert dict(folder.names) == {"alice": ["a.jpg"]}
    assert folder.skipped == ("alice/more (a folder within an identity's)",)


def test_an_identity_folder_without_photos_is_no_identity(tmp_path: Path) -> None:
    (tmp_path / "nobody").mkdir()
    assert read_face_folder(write(tmp_path, "alice/a.jpg")).identities == {"alice"}


def test_identity_folders_that_are_links_count(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", "a.jpg")
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "alice").symlink_to(tmp_path / "elsewhere")
    assert dict(read_face_folder(tmp_path / "faces").names) == {"alice": ["a.jpg"]}


@pytest.mark.parametrize(
    ("names", "way_out"),
    [
        pytest.param((), "", id="nothing"),
        pytest.param(("alice/notes.txt",), "", id="no photo"),
        pytest.param(
            ("alice/a.heic", "alice/b.HEIC"),
            ": skipped 2, such as alice/a.heic (HEIC: convert it to JPEG or PNG)",
            id="another format",
        ),
        pytest.param(
            ("me.jpg",),
            ": photos lie in it itself, such as me.jpg. Expected IDENTITY/PHOTO: give each identity a folder of photos; "
            "where this is the folder of one identity, give {parent}",
            id="too flat",
        ),
        pytest.param(
            ("train/n0001/a.jpg", "train/n0002/b.jpg", "val/n0001/c.jpg"),
            ": photos lie further down, such as train/n0001/a.jpg. Expected IDENTITY/PHOTO: where n0001 is an identity, "
            "give {root}/train; where train is one, put its photos into train itself",
            id="one level too deep, or a level too many",
        ),
        pytest.param(
            ("vgg/data/train/n0001/a.jpg",),
            ": photos lie further down, such as vgg/data/train/n0001/a.jpg. Expected IDENTITY/PHOTO: where n0001 is an "
            "identity, give {root}/vgg/data/train; where train is one, put its photos into train itself",
            id="much too deep",
        ),
    ],
)
def test_a_data_set_without_photos_in_identity_folders_is_refused_by_what_is_there(
    tmp_path: Path, names: tuple[str, ...], way_out: str
) -> None:
    with pytest.raises(InputError) as refused:
        read_face_folder(write(tmp_path, *names))
    assert str(refused.value) == (
        f"--faces: expected a folder of identity folders with .jfif, .jpe, .jpeg, .jpg, .png files, got {tmp_path} with none"
        + way_out.format(root=tmp_path, parent=tmp_path.parent)
    )


@pytest.mark.parametrize("name", ["absent", "file.jpg"])
def test_what_is_no_folder_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "file.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"^--faces: .*" + name):
        read_face_folder(tmp_path / name)


def test_what_desktops_leave_and_hide_is_passed_over_without_a_word(tmp_path: Path) -> None:
    names = ("alice/a.jpg", "alice/._a.jpg", "alice/.DS_Store", "alice/Thumbs.db", "alice/desktop.ini")
    folder = read_face_folder(write(tmp_path, *names, ".DS_Store", ".cache/b.jpg", "__MACOSX/._alice"))
    assert dict(folder.names) == {"alice": ["a.jpg"]}
    assert folder.skipped == ()


def test_a_folder_that_is_a_link_to_itself_is_skipped_and_named_with_the_reason(tmp_path: Path) -> None:
    write(tmp_path, "alice/a.jpg")
    (tmp_path / "bob").symlink_to("bob")
    (tmp_path / "alice" / "loop").symlink_to("loop")
    folder = read_face_folder(tmp_path)
    assert dict(folder.names) == {"alice": ["a.jpg"]}
    assert folder.skipped == ("alice/loop", f"bob (cannot be listed: {os.strerror(errno.ELOOP)})")


def test_a_folder_of_somebody_else_s_is_skipped_and_named_with_the_reason(unprivileged: Path) -> None:
    write(unprivileged, "alice/a.jpg", "bob/b.jpg", "carol/c.jpg")
    (unprivileged / "bob").chmod(0)
    folder = read_face_folder(unprivileged)
    (unprivileged / "bob").chmod(0o700)
    assert folder.identities == {"alice", "carol"}
    assert folder.skipped == (f"bob (cannot be listed: {os.strerror(errno.EACCES)})",)


def test_where_no_folder_can_be_listed_the_reason_is_told(unprivileged: Path) -> None:
    write(unprivileged, "bob/b.jpg")
    (unprivileged / "bob").chmod(0)
    with pytest.raises(
        InputError, match=rf"with none: skipped 1, such as bob \(cannot be listed: {os.strerror(errno.EACCES)}\)$"
    ):
        read_face_folder(unprivileged)
    (unprivileged / "bob").chmod(0o700)


def fail_to_list(monkeypatch: pytest.MonkeyPatch, name: str, code: int) -> None:
    scandir = os.scandir

    def listing(path: Path) -> object:
        if Path(path).name == name:
            raise OSError(code, os.strerror(code), str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", listing)


def test_a_folder_that_vanished_meanwhile_is_skipped_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "alice/a.jpg", "bob/b.jpg")
    fail_to_list(monkeypatch, "bob", errno.ENOENT)
    folder = read_face_folder(tmp_path)
    assert folder.identities == {"alice"}
    assert folder.skipped == (f"bob (cannot be listed: {os.strerror(errno.ENOENT)})",)


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.EMFILE])
def test_a_folder_that_may_be_listed_later_is_not_left_out_which_would_be_another_draw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    write(tmp_path, "alice/a.jpg", "bob/b.jpg")
    fail_to_list(monkeypatch, "bob", code)
    with pytest.raises(InputError, match=rf"^--faces: {tmp_path}/bob: .* an error that may pass: {os.strerror(code)}$"):
        read_face_folder(tmp_path)


def test_two_folders_whose_names_differ_in_their_normal_form_alone_are_refused_by_both(tmp_path: Path) -> None:
    write(tmp_path, f"{ZOE}/a.jpg", f"{unicodedata.normalize('NFD', ZOE)}/b.jpg")
    with pytest.raises(InputError) as refused:
        read_face_folder(tmp_path)
    assert str(refused.value) == (
        "--faces: expected one folder for each identity, got two for Zoë, whose names differ in their Unicode normalization "
        "alone: 'Zoe\\u0308' and 'Zo\\xeb'"
    )


def test_an_identity_is_its_folder_s_name_in_normal_form_c_and_can_be_called_as_a_label_is(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", ZOE)
    folder = read_face_folder(write(tmp_path, f"{decomposed}/a.jpg", "bob/b.jpg"))
    assert folder.identities == {ZOE, "bob"}
    digest = hashlib.sha256(f"{decomposed}/a.jpg\nbob/b.jpg\n".encode()).hexdigest()
    for faces, label in ((folder, ZOE), (folder.spelt({ZOE: decomposed}), decomposed)):
        assert faces.identities == {label, "bob"}
        (photo,) = faces.photos(label)
        assert (photo.identity, photo.key, photo.read()) == (label, f"{label}/a.jpg", f"{decomposed}/a.jpg".encode())
        assert faces.sha256() == digest


class Hashed(str):
    """A file name that counts how often it is hashed or compared."""

    times = 0
    __slots__ = ()

    def __hash__(self) -> int:
        Hashed.times += 1
        return super().__hash__()

    def __eq__(self, other: object) -> bool:
        Hashed.times += 1
        return super().__eq__(other)


def test_listing_an_identity_s_folder_takes_as_many_operations_as_it_has_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    is_photo = folder._is_photo

    def counted(name: str) -> bool:
        asked.append(name)
        return is_photo(name)

    monkeypatch.setattr(folder, "text_of", lambda name: Hashed(text_of(name)))
    monkeypatch.setattr(folder, "_is_photo", counted)

    def operations(files: int) -> int:
        asked.clear()
        Hashed.times = 0
        names = [f"{files}/ann/{place}.{ending}" for place in range(files // 2) for ending in ("jpg", "txt")]
        read_face_folder(write(tmp_path, *names).joinpath(str(files)))
        return len(asked) + Hashed.times

    assert operations(400) <= 4 * operations(100)
