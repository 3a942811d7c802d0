"""What is said of images that are whole no more: what is wrong, and nothing else."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from rpc.errors import ServiceError
from rpc.images.decoding import (
    decode_image,
    encode_jpeg,
)
from rpc.images.limits import ImageLimits
from tests.support.pictures import PALETTE, RGB, chunk, png, png_of, segment

NOISE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER = struct.pack(">IIBBBBB", 32, 24, 8, RGB, 0, 0, 0)
ROWS = b"".join(b"\0" + row.tobytes() for row in NOISE)
END = chunk(b"IEND", b"")
PIXELS = chunk(b"IDAT", zlib.compress(ROWS))
PNG = SIGNATURE + chunk(b"IHDR", HEADER) + PIXELS + END
JPEG = encode_jpeg(NOISE, quality=90)


def refusal(encoded: bytes) -> str:
    with pytest.raises(ServiceError) as refused:
        decode_image(encoded, field="photo", limits=ImageLimits())
    return refused.value.message.removeprefix("photo: ")


def wrong_checksum(whole: bytes) -> bytes:
    """A chunk whose last byte is another."""
    return whole[:-1] + bytes([whole[-1] ^ 1])


def damage(encoded: bytes) -> str:
    told = refusal(encoded)
    what = "expected a whole image, got a damaged "
    assert told.startswith(what), told
    return told.removeprefix(what)


@pytest.mark.parametrize("name", [b"IHDR", b"PLTE", b"tRNS", b"IDAT"])
def test_a_wrong_checksum_in_what_decides_on_the_pixels_is_named(name: bytes) -> None:
    colours = chunk(b"PLTE", bytes(range(6))), chunk(b"tRNS", b"\x80")
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 1, 8, PALETTE, 0, 0, 0))
    parts = [header, *colours, chunk(b"IDAT", zlib.compress(bytes(9)))]
    assert decode_image(SIGNATURE + b"".join(parts) + END, field="photo", limits=ImageLimits()).shape == (1, 8, 3)
    changed = [wrong_checksum(part) if part[4:8] == name else part for part in parts]
    assert damage(SIGNATURE + b"".join(changed) + END) == f"PNG: wrong checksum in {name.decode()}"


@pytest.mark.parametrize("name", [b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"acTL"])
@pytest.mark.parametrize("bit", [2, 5])  # another name; one that says that nobody needs to know the chunk, or must
def test_a_damaged_name_of_what_decides_on_the_pixels_is_not_taken_for_that_of_metadata(name: bytes, bit: int) -> None:
    colours = chunk(b"PLTE", bytes(range(6))) + chunk(b"tRNS", b"\x80") + chunk(b"acTL", struct.pack(">II", 0, 0))
    whole = png(8, 1, depth=8, colour=PALETTE, rows=bytes(9), before_data=colours)
    place = whole.index(name)
    damaged = whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :]
    ancillary = bool(damaged[place] & 1 << 5)
    expected = f"PNG: the name of {name.decode()} is damaged" if ancillary else "PNG: wrong checksum in a critical chunk"
    assert damage(damaged) == expected


@pytest.mark.parametrize(
    ("damaged", "what"),
    [
        (SIGNATURE + PIXELS + END, "IHDR is missing or has a wrong length"),
        (SIGNATURE + chunk(b"IHDR", HEADER[:-1]) + PIXELS + END, "IHDR is missing or has a wrong length"),
        (SIGNATURE + chunk(b"IHDR", HEADER) + END, "it has no IDAT"),
        (SIGNATURE + chunk(b"IHDR", HEADER) * 2 + PIXELS + END, "IHDR comes twice, or after the pixels"),
        (SIGNATURE + PIXELS + chunk(b"IHDR", HEADER) + END, "IHDR comes twice, or after the pixels"),
        (png(1, 1, depth=8, colour=5, rows=bytes(4)), "IHDR states what there is not"),
        (png(1, 1, depth=4, colour=RGB, rows=bytes(4)), "IHDR states what there is not"),
        (png(1, 1, depth=8, colour=PALETTE, rows=bytes(2)), "PLTE is missing or has a wrong length"),
        (png_of(NOISE, colour=RGB, before_data=chunk(b"tRNS", b"\0\0")), "tRNS has a wrong length"),
        (png_of(NOISE, colour=RGB, before_data=chunk(b"NEED", b"")), "a critical chunk has an unknown name"),
        (PNG.replace(PIXELS, chunk(b"IDAT", b"not deflated")), "its pixels cannot be decoded"),
        (PNG.replace(b"\r\n", b"\n"), "its first bytes are others, as after a transfer as text"),
        (PNG[:33] + b"\x7f" + PNG[34:], "a chunk reaches beyond its end"),
        (PNG[:33] + PNG[34:], "a chunk reaches beyond its end"),
        (PNG[:33] + b"\0\0" + PNG[33:], "there is no chunk where one should begin"),
    ],
)
def test_what_is_wrong_with_a_png_is_told(damaged: bytes, what: str) -> None:
    assert damage(damaged) == f"PNG: {what}"


def test_a_png_in_apples_own_form_is_called_so() -> None:
    apple = SIGNATURE + chunk(b"CgBI", bytes(4)) + PNG[8:]
    assert refusal(apple) == "expected a standard PNG, got one in Apple's own form (CgBI); convert it"


FRAME = JPEG.index(b"\xff\xc0")


def with_frame(marker: int = 0xC0, *, bits: int = 8, channels: int = 3, width: int = 32) -> bytes:
    """The JPEG with another frame header."""
    content = bytearray(JPEG[FRAME + 4 : FRAME + 19])
    content[0], content[5] = bits, channels
    content[3:5] = struct.pack(">H", width)
    return JPEG[:FRAME] + segment(marker, bytes(content)) + JPEG[FRAME + 19 :]


def test_the_frame_of_these_tests_is_the_whole_one() -> None:
    assert with_frame() == JPEG


@pytest.mark.parametrize(
    ("damaged", "what"),
    [
        (JPEG[:FRAME] + JPEG[FRAME + 19 :], "its header states no size"),
        (JPEG[:FRAME] + JPEG[FRAME : FRAME + 19] * 2 + JPEG[FRAME + 19 :], "it has two frames"),
        (JPEG[:2] + JPEG, "another image begins within its header"),
        (JPEG[:FRAME] + b"\xff\xd9", "it ends before its pixels"),
        (JPEG[:4] + b"\xff\xff" + JPEG[6:], "a segment reaches beyond its end"),
        (JPEG[:FRAME] + b"\xff\x42" + JPEG[FRAME + 2 :], "its header has a marker that means nothing"),
        (JPEG.replace(b"\xff\xdb", b"\xff\xfe"), "its pixels cannot be decoded"),
    ],
)
def test_what_is_wrong_with_a_jpeg_is_told(damaged: bytes, what: str) -> None:
    assert damage(damaged) == f"JPEG: {what}"


@pytest.mark.parametrize(
    ("rare", "told"),
    [
        (with_frame(bits=12), "expected a JPEG of 8 bits a sample, got 12"),
        (with_frame(channels=2), "expected a JPEG of 1, 3 or 4 channels, got 2"),
        (with_frame(0xC7), "expected a baseline or progressive JPEG, got a lossless or hierarchical one"),
        (with_frame(width=0), "expected at least one pixel, got 0 x 24"),
    ],
)
def test_a_jpeg_of_a_rare_kind_is_not_called_damaged(rare: bytes, told: str) -> None:
    assert refusal(rare) == told


def test_a_lack_of_memory_is_not_held_against_the_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: object, **parameters: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image, "open", fails)
    with pytest.raises(MemoryError):
        decode_image(PNG, field="photo", limits=ImageLimits())
