"""Photos as people have them: what is sent of them, what is changed and said, and what is refused."""

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from orchestrator.errors import InputError
from orchestrator.protect import photo_files
from orchestrator.protect.photo_files import (
    LIMITS,
    MAX_SIDE,
    is_same,
    read_own_photos,
    read_photo,
    read_photos,
    reduced,
)
from rpc.images.decoding import decoded_image, encode_jpeg, encode_png
from tests.support.drawn_faces import draw_face

FACE = draw_face(0, side=120)
PLACE = "an-address-in-the-EXIF"


def saved(pixels: NDArray[np.uint8], kind: str, **parameters: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **parameters)
    return buffer.getvalue()


def with_exif(turn: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = turn, PLACE
    return exif


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_what_is_sent_is_the_photo_pixel_by_pixel_without_its_metadata(tmp_path: Path, kind: str, turn: int) -> None:
    content = saved(FACE[:80], kind, exif=with_exif(turn))
    photo = read_photo(write(tmp_path / "photo", content), option="PHOTO")
    assert PLACE.encode() in content
    assert PLACE.encode() not in photo.encoded
    expected = decoded_image(content, limits=LIMITS)
    assert (photo.pixels() == expected).all()
    assert (photo.height, photo.width) == expected.shape[:2]
    assert photo.notes == ()


@pytest.mark.parametrize("kind", ["WEBP", "AVIF", "TIFF", "BMP"])
def test_other_formats_are_read_where_pillow_can(tmp_path: Path, kind: str) -> None:
    parameters = {"lossless": True} if kind == "WEBP" else {}
    photo = read_photo(write(tmp_path / "photo", saved(FACE, kind, **parameters)), option="PHOTO")
    difference = np.abs(photo.pixels().astype(int) - FACE)
    assert difference.max() <= (60 if kind == "AVIF" else 0)
    assert photo.notes == ("it was converted, as services take JPEG and PNG",)


def test_a_webp_lies_upright_and_its_transparent_parts_are_white(tmp_path: Path) -> None:
    pixels = np.dstack([FACE[:80], np.full((80, 120), 255, dtype=np.uint8)])
    pixels[:8, :, 3] = 0
    photo = read_photo(write(tmp_path / "a", saved(pixels, "WEBP", lossless=True, exif=with_exif(6))), option="PHOTO")
    assert (photo.width, photo.height) == (80, 120)
    assert (photo.pixels()[:, -8:] == 255).all()


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "expected a JPEG or PNG image, got nothing"),
        (b"hello", "got 5 other bytes"),
        (HEIC, "got a HEIC or AVIF; convert it to JPEG or PNG, or install pillow-heif, by which it can be read"),
        (saved(FACE, "JPEG")[:-900], "truncated JPEG"),
        (saved(FACE, "GIF"), "got a GIF; convert it"),
        (saved(FACE, "WEBP")[:300], "got a WebP; convert it"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(InputError) as refused:
        read_photo(write(tmp_path / "photo.xyz", content), option="PHOTO")
    assert str(refused.value).startswith(f"PHOTO: {tmp_path / 'photo.xyz'}: ")
    assert reason in str(refused.value)


def test_an_animated_webp_is_no_photo(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(FACE).save(buffer, "WEBP", save_all=True, append_images=[Image.fromarray(FACE[::-1])])
    with pytest.raises(InputError, match="got a WebP"):
        read_photo(write(tmp_path / "a", buffer.getvalue()), option="PHOTO")


def test_a_folder_and_a_missing_file_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(InputError, match=f"PHOTO: {path}: cannot be read: "):
            read_photo(path, option="PHOTO")


@pytest.mark.thorough("orchestrator/protect/photo_files.py", "rpc/images/")
def test_a_photo_of_60_megapixels_is_made_smaller_and_that_is_said(tmp_path: Path) -> None:
    large = np.repeat(np.repeat(FACE, 60, axis=0), 71, axis=1)  # 8520 x 7200
    photo = read_photo(write(tmp_path / "large.jpg", encode_jpeg(large, quality=80)), option="PHOTO")
    assert large.size / 3 > 60e6
    assert (max(photo.width, photo.height), len(photo.encoded) <= LIMITS.max_bytes) == (MAX_SIDE, True)
    assert photo.notes[0] == f"it was made smaller, to {MAX_SIDE} pixels on its longer side, and so is its cloak"
    assert photo.pixels().shape == (photo.height, photo.width, 3)


def test_a_photo_that_is_too_long_is_made_smaller_and_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo_files, "MAX_SIDE", 100)
    photo = read_photo(write(tmp_path / "a.jpg", encode_jpeg(FACE[:60], quality=95)), option="PHOTO")
    assert (photo.width, photo.height) == (100, 50)
    assert photo.notes == ("it was made smaller, to 100 pixels on its longer side, and so is its cloak",)


def test_a_photo_that_is_made_smaller_once_more_says_so(tmp_path: Path) -> None:
    photo = reduced(read_photo(write(tmp_path / "a.png", encode_png(FACE)), option="PHOTO"), 60)
    assert (photo.width, photo.height, photo.notes) == (
        60,
        60,
        ("it was made smaller, to 60 pixels on its longer side, and so is its cloak",),
    )


def test_the_same_photo_is_known_again_stored_or_resized_anew_and_another_is_not(tmp_path: Path) -> None:
    def photo(name: str, content: bytes) -> Path:
        return write(tmp_path / name, content)

    smaller = np.asarray(Image.fromarray(FACE).resize((75, 75)))
    first = read_photo(photo("a", encode_png(FACE)), option="PHOTO")
    again = [encode_png(FACE), encode_jpeg(FACE, quality=60), encode_png(smaller)]
    others = [encode_png(FACE[:90]), encode_png(draw_face(0, 1, side=120)), encode_png(draw_face(1, side=120))]
    assert [is_same(first, read_photo(photo("b", each), option="PHOTO")) for each in again] == [True, True, True]
    assert [is_same(first, read_photo(photo("b", each), option="PHOTO")) for each in others] == [False, False, False]


def test_photos_that_are_the_same_or_whose_cloaks_would_be_called_the_same_are_refused(tmp_path: Path) -> None:
    one, again = write(tmp_path / "one.png", encode_png(FACE)), write(tmp_path / "again.jpg", encode_jpeg(FACE, quality=90))
    other = write(tmp_path / "one.jpg", encode_jpeg(draw_face(1), quality=90))
    with pytest.raises(InputError, match=r"expected different photos, got .*again.jpg and .*one.png, which are the same"):
        read_photos([one, again], option="PHOTO")
    with pytest.raises(InputError, match="whose names differ in more than their suffix"):
        read_photos([one, other], option="PHOTO")
    assert [photo.name for photo in read_photos([other, again], option="PHOTO")] == ["one.jpg", "again.jpg"]


def test_other_photos_of_the_person_are_those_that_are_none_of_the_given_ones_and_can_be_read(tmp_path: Path) -> None:
    given = read_photos([write(tmp_path / "photo.png", encode_png(FACE))], option="PHOTO")
    me = tmp_path / "me"
    write(me / "1.png", encode_png(draw_face(0, 1)))
    write(me / "2.jpg", encode_jpeg(draw_face(0, 2), quality=95))
    write(me / "copy of 2.png", encode_png(draw_face(0, 2)))
    write(me / "itself.jpg", encode_jpeg(FACE, quality=95))
    write(me / "notes.txt", b"none")
    write(me / "old" / "3.png", encode_png(draw_face(0, 3)))
    write(me / ".hidden", b"none")
    own = read_own_photos(me, besides=given)
    assert [photo.name for photo in own.photos] == ["1.png", "2.jpg"]
    assert own.left_out == (
        f"{me / 'copy of 2.png'}: it is the photo 2.jpg beside it",
        f"{me / 'itself.jpg'}: it is the photo photo.png that is to be cloaked",
        f"{me / 'notes.txt'}: expected a JPEG or PNG image, got 4 other bytes",
        f"{me / 'old'}: a folder in that of --me",
    )


def test_a_folder_without_another_photo_of_the_person_is_refused(tmp_path: Path) -> None:
    given = read_photos([write(tmp_path / "photo.png", encode_png(FACE))], option="PHOTO")
    alone = write(tmp_path / "alone" / "photo.png", encode_png(FACE)).parent
    with pytest.raises(InputError, match=r"at least one other photo .* it is the photo photo.png that is to be cloaked$"):
        read_own_photos(alone, besides=given)
    people = write(tmp_path / "people" / "alice" / "1.png", encode_png(draw_face(0, 1))).parent.parent
    with pytest.raises(InputError, match=r"got only folders \(alice\): give the folder of one person"):
        read_own_photos(people, besides=given)
    with pytest.raises(InputError, match=r"--me: .*missing: cannot be listed"):
        read_own_photos(tmp_path / "missing", besides=given)
