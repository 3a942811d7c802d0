"""Which cloaks are found in a folder or by a table, what is left out and why, and what cannot be used."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from orchestrator.cloaks.finished import FinishedCloaks, read_finished_cloaks
from orchestrator.errors import CallError, InputError, PhotoRefusedError
from orchestrator.experiment.cloak import Cloak
from orchestrator.faces.folder import read_face_folder
from rpc.images.decoding import encode_jpeg, encode_png

TABLE = "method,identity,photo,cloak\n"


def write(root: Path, *names: str, level: int = 100, size: tuple[int, int] = (8, 9)) -> Path:
    """Pictures of one colour, each as its suffix says."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((*size, 3), level, dtype=np.uint8)
        path.write_bytes(encode_png(pixels) if name.endswith(".png") else encode_jpeg(pixels, quality=95))
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Clean photos, and cloaks of all of them by two tools."""
    write(tmp_path / "faces", "alice/a.jpg", "alice/b.jpg", "bob/c.png")
    write(tmp_path / "cloaks" / "fog", "alice/a.jpg", "alice/b.jpg", "bob/c.png", level=110)
    write(tmp_path / "cloaks" / "gan", "alice/a.png", "alice/b.jpg", "bob/c.png", level=120)
    return tmp_path


def read(root: Path, *, table: str | None = None, methods: tuple[str, ...] | None = None) -> FinishedCloaks:
    names = None if table is None else root / "names.csv"
    if names is not None:
        names.write_text(TABLE + (table or ""))
    return read_finished_cloaks(root / "cloaks", read_face_folder(root / "faces"), names=names, methods=methods)


def photos(cloaks: FinishedCloaks) -> set[str]:
    return {photo.name for identity in cloaks.faces.identities for photo in cloaks.faces.photos(identity)}


async def crafted(
    cloaks: FinishedCloaks, name: str, *methods: str, photo: bytes | None = None, seed: int = 0
) -> list[Cloak]:
    found = {each.name: each for identity in cloaks.faces.identities for each in cloaks.faces.photos(identity)}[name]
    encoded = found.read() if photo is None else photo
    row = cloaks.craft(
        encoded,
        probe=name,
        identity=found.identity,
        source_model="elsewhere",
        methods=methods,
        epsilons=(),
        seed=seed,
    )
    return [cloak async for cloak in row]


def test_methods_are_folders_and_a_cloak_may_have_another_suffix_than_its_photo(root: Path) -> None:
    cloaks = read(root)
    assert cloaks.compared == ("fog", "gan")
    assert photos(cloaks) == {"alice/a.jpg", "alice/b.jpg", "bob/c.png"}
    assert (cloaks.faces.skipped, cloaks.remarks, cloaks.without_noise) == ((), (), ())


def test_the_photos_that_every_method_has_count_and_all_else_is_named(root: Path) -> None:
    (root / "cloaks/gan/alice/b.jpg").unlink()
    (root / "cloaks/fog/bob/c.png").write_bytes(b"\x89PNG\r\n\x1a\nspoilt")
    write(root / "cloaks", "fog/alice/z.jpg", "gan/carol/a.jpg")
    (root / "cloaks/notes.txt").touch()
    (root / "cloaks/gan/alice/a.webp").touch()
    cloaks = read(root)
    assert photos(cloaks) == {"alice/a.jpg"}
    assert [each.replace(str(root), "") for each in cloaks.faces.skipped[:-1]] == [
        "notes.txt (not in the folder of a method)",
        "fog/alice/z.jpg (no such photo in --faces)",
        "gan/alice/a.webp (WebP: convert it to JPEG or PNG)",
        "gan/carol/a.jpg (no such identity in --faces)",
        "gan/alice/b.jpg (missing)",
    ]
    assert "/cloaks/fog/bob/c.png (cannot be decoded: " in cloaks.faces.skipped[-1]


def test_a_method_alone_is_not_held_back_by_the_others(root: Path) -> None:
    (root / "cloaks/gan/alice/b.jpg").unlink()
    assert photos(read(root, methods=("fog",))) == {"alice/a.jpg", "alice/b.jpg", "bob/c.png"}


def test_photos_without_any_cloak_are_counted(root: Path) -> None:
    write(root / "faces", "alice/new.jpg", "dave/new.jpg")
    assert read(root).remarks == ("cloaks of 2 photos of --faces: no method has one",)


def test_names_are_compared_in_one_normal_form(root: Path) -> None:
    write(root / "faces", unicodedata.normalize("NFC", "Zoë/é.jpg"))
    for method in ("fog", "gan"):
        write(root / "cloaks" / method, unicodedata.normalize("NFD", "Zoë/é.png"))
    assert "Zoë/é.jpg" in photos(read(root))


def test_of_two_pictures_with_the_stem_of_a_photo_neither_is_guessed(root: Path) -> None:
    (root / "cloaks/gan/alice/a.png").rename(root / "cloaks/gan/alice/a.jpeg")
    write(root / "cloaks/gan/alice", "a.png")
    cloaks = read(root)
    assert "alice/a.jpg" not in photos(cloaks)
    assert {"gan/alice/a.jpeg (no such photo in --faces)", "gan/alice/a.jpg (missing)"} < set(cloaks.faces.skipped)


def test_a_table_names_the_files_of_another_layout(root: Path) -> None:
    write(root / "cloaks/flat", "1.png", "2.png", level=90)
    cloaks = read(root, table="mist,alice,a.jpg,flat/1.png\nmist,bob,c.png,flat/2.png\nmist,bob,d.png,flat/3.png\n")
    assert cloaks.compared == ("mist",)
    assert photos(cloaks) == {"alice/a.jpg", "bob/c.png"}
    assert cloaks.faces.skipped == ("mist/bob/d.png (no such photo in --faces)",)


def test_a_file_that_a_table_names_and_that_is_not_there_is_named(root: Path) -> None:
    cloaks = read(root, table="fog,alice,a.jpg,fog/alice/a.jpg\nfog,bob,c.png,fog/bob/d.png\n")
    (skipped,) = cloaks.faces.skipped
    assert skipped.endswith("cloaks/fog/bob/d.png (cannot be read: No such file or directory)")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("fog,alice,a.jpg,\n", "line 2: expected method, identity, photo, cloak, got a row without one of them"),
        ("fog,alice,a.jpg,/etc/passwd\n", "line 2: expected the path of a file in "),
        ("fog,alice,a.jpg,../a.jpg\n", "line 2: expected the path of a file in "),
        ("fog,alice,a.jpg,1.png\nfog,alice,a.jpg,2.png\n", "line 3: expected one cloak of each photo by each method"),
    ],
)
def test_a_table_with_a_bad_row_is_refused_by_its_line(root: Path, rows: str, said: str) -> None:
    with pytest.raises(InputError) as refused:
        read(root, table=rows)
    assert str(refused.value).startswith(f"--names: {root / 'names.csv'}, {said}")


def test_a_table_without_a_column_is_refused(root: Path) -> None:
    (root / "names.csv").write_text("method,identity,cloak\n")
    with pytest.raises(
        InputError, match=r"expected the columns method, identity, photo, cloak, got method, identity, cloak$"
    ):
        read_finished_cloaks(root / "cloaks", read_face_folder(root / "faces"), names=root / "names.csv")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("fog", "none", "got 'none'"),
        ("fog", "noise", "got 'noise'"),
        ("fog", "noise:gan", "got 'noise:gan'"),
        ("fog", "a+b", "got 'a+b'"),
        ("fog", "a,b", "got 'a,b'"),
        ("fog", "a\nb", r"got 'a\nb'"),
    ],
)
def test_impossible_names_of_methods_are_refused(root: Path, before: str, after: str, said: str) -> None:
    (root / "cloaks" / before).rename(root / "cloaks" / after)
    with pytest.raises(InputError) as refused:
        read(root)
    assert str(refused.value).startswith("--cloaks: expected names of methods of at most 100 printable characters")
    assert str(refused.value).endswith(said)


def test_a_method_that_is_not_there_is_refused(root: Path) -> None:
    with pytest.raises(InputError, match=r"--methods: expected one of .*cloaks \(fog, gan\), got gam; did you mean gan\?"):
        read(root, methods=("gam",))


def test_a_folder_without_the_level_of_methods_is_refused_with_the_way_out(root: Path) -> None:
    with pytest.raises(InputError) as refused:
        read_finished_cloaks(root / "cloaks" / "fog", read_face_folder(root / "faces"))
    assert str(refused.value) == (
        f"--cloaks: expected METHOD/IDENTITY/PHOTO in {root}/cloaks/fog, got alice/a.jpg: put the folders of identities "
        f"into one that is named after the method"
    )


def test_a_folder_of_nobody_s_cloaks_is_refused(root: Path) -> None:
    with pytest.raises(InputError) as refused:
        read_finished_cloaks(root / "cloaks", read_face_folder(write(root / "others", "dave/a.jpg")))
    assert str(refused.value).startswith(
        "--cloaks: expected photos of --faces of which fog, gan each have a cloak, got none in "
    )
    assert "fog/alice/a.jpg (no such identity in --faces), fog/alice/b.jpg" in str(refused.value)


@pytest.mark.parametrize("name", ["absent", "empty"])
def test_a_folder_without_methods_is_refused(root: Path, name: str) -> None:
    (root / "empty").mkdir()
    with pytest.raises(InputError, match=r"^--cloaks: "):
        read_finished_cloaks(root / name, read_face_folder(root / "faces"))


def test_a_picture_of_another_size_leaves_its_method_without_noise(root: Path) -> None:
    write(root / "cloaks/gan", "alice/b.jpg", size=(10, 12))
    cloaks = read(root)
    assert cloaks.without_noise == ("gan",)
    assert cloaks.remarks == (
        "noise control of gan: 1 of its 3 cloaks have another size than their clean photos, such as alice/b.jpg (12 x 10 "
        "pixels, not 9 x 8): these have no image quality either",
    )


async def test_the_digest_is_of_the_files_that_are_used(root: Path) -> None:
    write(root / "cloaks", "fog/carol/a.jpg")

    async def digest() -> object:
        return (await read(root).models())["elsewhere"].card["cloaks_sha256"]

    before = await digest()
    write(root / "cloaks", "fog/carol/a.jpg", level=1)
    assert await digest() == before
    write(root / "cloaks", "fog/alice/a.jpg", level=1)
    assert await digest() != before


async def test_cloaks_and_control_are_the_files_themselves(root: Path) -> None:
    control, fog, gan, noise = await crafted(read(root), "alice/a.jpg", "none", "fog", "gan", "noise:gan")
    assert control.encoded == (root / "faces/alice/a.jpg").read_bytes()
    assert fog.encoded == (root / "cloaks/fog/alice/a.jpg").read_bytes()
    assert gan.encoded == (root / "cloaks/gan/alice/a.png").read_bytes()
    assert noise.encoded.startswith(b"\x89PNG")
    assert [cloak.record.largest_change for cloak in (control, fog, gan)] == [0, 10, 20]
    assert {cloak.record.key.epsilon for cloak in (control, fog, gan, noise)} == {0}
    assert len({cloak.record.probe_sha256 for cloak in (control, fog, gan, noise)}) == 1


async def test_noise_depends_on_the_seed_the_photo_and_the_method(root: Path) -> None:
    write(root / "cloaks/fog", "alice/a.jpg", "alice/b.jpg", level=120)
    write(root / "cloaks/gan", "alice/b.jpg", level=120)
    cloaks = read(root)
    drawn = [
        (await crafted(cloaks, *asked, seed=seed))[0].encoded
        for asked, seed in (
            (("alice/a.jpg", "noise:fog"), 0),
            (("alice/a.jpg", "noise:fog"), 0),
            (("alice/a.jpg", "noise:fog"), 1),
            (("alice/b.jpg", "noise:fog"), 0),
            (("alice/b.jpg", "noise:gan"), 0),
        )
    ]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 4


async def test_a_cloak_that_has_changed_or_gone_is_named_and_not_shown(root: Path) -> None:
    cloaks = read(root)
    write(root / "cloaks/fog", "alice/a.jpg", level=1)
    (root / "cloaks/gan/alice/a.png").unlink()
    with pytest.raises(
        CallError, match=r"fog/alice/a.jpg: expected the file that the run began with, got another"
    ) as changed:
        await crafted(cloaks, "alice/a.jpg", "fog")
    with pytest.raises(CallError, match=r"gan/alice/a.png: can no longer be read: No such file") as gone:
        await crafted(cloaks, "alice/a.jpg", "gan")
    assert not changed.value.transient
    assert not gone.value.transient


async def test_a_photo_that_is_no_picture_any_more_is_refused(root: Path) -> None:
    with pytest.raises(PhotoRefusedError, match=r"the clean photo alice/a.jpg: expected "):
        await crafted(read(root), "alice/a.jpg", "none", photo=b"spoilt")
