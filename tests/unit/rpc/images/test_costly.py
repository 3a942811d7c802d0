"""Images that cost far more than their bytes and pixels say are refused before they are decoded."""

import io

import numpy as np
import pytest
from PIL import Image

from rpc.errors import ServiceError
from rpc.images.decoding import decode_image
from rpc.images.jpeg_segments import scans_of
from rpc.images.limits import (
    MAX_PARTS,
    MAX_SCANS,
    MAX_SIDE,
    ImageLimits,
)
from tests.support.pictures import chunk, segment

START_OF_SCAN, END = b"\xff\xda", b"\xff\xd9"


def decode(encoded: bytes) -> tuple[int, ...]:
    return decode_image(encoded, field="photo", limits=ImageLimits()).shape


def refusal(encoded: bytes) -> str:
    with pytest.raises(ServiceError) as refused:
        decode(encoded)
    return refused.value.message


def encoded(width: int, height: int, kind: str, **parameters: object) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, kind, **parameters)
    return buffer.getvalue()


def with_scans(scans: int, *, between: bytes = b"") -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    jpeg = encoded(16, 16, "JPEG", progressive=True)
    body, last = jpeg[: jpeg.rfind(START_OF_SCAN)], jpeg[jpeg.rfind(START_OF_SCAN) : -len(END)]
    more = scans - body.count(START_OF_SCAN)
    return body + (between + last) * more + END


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_strip_is_refused_however_few_its_pixels(kind: str) -> None:
    for width, height in ((MAX_SIDE + 1, 8), (8, MAX_SIDE + 1)):
        assert refusal(encoded(width, height, kind)) == (
            f"photo: expected at most 16384 pixels a side, got {width} x {height}"
        )
    assert decode(encoded(MAX_SIDE, 8, kind)) == (8, MAX_SIDE, 3)


# libjpeg passes over what stands between scans; a segment's length must not hide the next scan.
@pytest.mark.parametrize(
    "between", [b"", b"\0", b"xyz", b"\xff\x02\xff\xff", b"\xff\xd0", b"\xff\xff\xff", b"\xff\xfe\0\x05abc"]
)
def test_a_jpeg_of_too_many_scans_is_refused_however_they_are_hidden(between: bytes) -> None:
    told = refusal(with_scans(MAX_SCANS + 1, between=between))
    assert told == "photo: expected a JPEG of at most 100 scans, got 101"


def test_a_jpeg_of_just_as_many_scans_is_decoded() -> None:
    assert decode(with_scans(MAX_SCANS)) == (16, 16, 3)


@pytest.mark.parametrize(("parameters", "scans"), [({}, 1), ({"progressive": True}, 10), ({"restart_marker_blocks": 1}, 1)])
def test_scans_are_counted_as_an_encoder_wrote_them(parameters: dict[str, object], scans: int) -> None:
    assert scans_of(encoded(64, 48, "JPEG", **parameters)) == scans


def test_a_thumbnail_within_the_metadata_and_a_film_after_the_photo_are_no_scans() -> None:
    """As phones write them: a JPEG within EXIF, and any number of bytes after the end."""
    thumbnail = encoded(16, 16, "JPEG")
    exif = Image.Exif()
    exif[0x010E] = "x"
    photo = encoded(64, 48, "JPEG", exif=exif.tobytes() + thumbnail * 20)
    assert photo.count(START_OF_SCAN) == 21
    assert scans_of(photo) == 1
    film = b"\0\2" + (START_OF_SCAN + b"\0\2") * (MAX_SCANS + 1)
    assert decode(photo + film) == (48, 64, 3)


def with_parts(kind: str, parts: int) -> bytes:
    """An image of as many chunks, or segments before its pixels, the further of which hold nothing."""
    image = encoded(16, 16, kind)
    if kind == "PNG":
        return image[:33] + chunk(b"teSt", b"") * (parts - image.count(b"IDAT") - 1) + image[33:]
    header = ("JFIF", "DQT", "DQT", "SOF", "DHT", "DHT", "DHT", "DHT", "SOS")
    return image[:2] + segment(0xFE, b"") * (parts - len(header)) + image[2:]


@pytest.mark.parametrize(("kind", "parts"), [("PNG", "chunks"), ("JPEG", "segments before its pixels")])
def test_an_image_of_very_many_parts_is_refused_whatever_they_hold(kind: str, parts: str) -> None:
    most = MAX_PARTS - 1 if kind == "PNG" else MAX_PARTS  # IEND is a chunk too
    assert decode(with_parts(kind, most)) == (16, 16, 3)
    assert refusal(with_parts(kind, most + 1)) == f"photo: expected a {kind} of at most {MAX_PARTS} {parts}, got more"
