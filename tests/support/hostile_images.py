"""Images that a decoder chokes on: broken in every place, and small files that unfold into large memory or long work."""

import io
import random
import struct
import zlib
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from tests.support.drawn_faces import draw_face

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB = 2  # colour type


def broken_images(chance: random.Random) -> Iterator[bytes]:
    """Without end: whole files damaged in a place that is drawn, and files that never were images."""
    whole = whole_images()
    while True:
        image = chance.choice(whole)
        place = chance.randrange(len(image))
        yield image[:place]
        yield _flipped(image, place, chance)
        yield _flipped(image, chance.randrange(min(64, len(image))), chance)  # in the header
        yield image[:place] + image[chance.randrange(len(image)) :]  # a piece is missing, or comes twice
        yield chance.choice(whole)[:32] + image[32:]  # the head of another file
        yield chance.choice([b"GIF89a", b"RIFF\0\0\0\0WEBP", b"BM", b"II*\0", b"%PDF-1.7", b"8BPS", b"\0" * 12]) + image[12:]
        yield bytes(chance.randrange(2000))
        yield chance.randbytes(chance.randrange(2000))


def whole_images() -> list[bytes]:
    """Small images of all kinds that decoders have code of their own for."""
    face = Image.fromarray(draw_face(0, side=96))
    return [
        _encoded(face, "JPEG"),
        _encoded(face, "JPEG", progressive=True),
        _encoded(face, "JPEG", restart_marker_blocks=2, exif=_turned()),
        _encoded(face.convert("CMYK"), "JPEG"),
        _encoded(face.convert("L"), "JPEG"),
        _encoded(face, "MPO", save_all=True, append_images=[face, face]),
        _encoded(face, "PNG"),
        _encoded(face.convert("P"), "PNG", transparency=0),
        _encoded(face.convert("1"), "PNG"),
        _encoded(face.convert("I;16"), "PNG"),
        _encoded(face.convert("RGBA"), "PNG", exif=_turned()),
        _encoded(face, "PNG", save_all=True, append_images=[face.rotate(90), face]),
    ]


@cache
def bombs() -> Sequence[bytes]:
    """Small files that promise, or hold, far more than their bytes say; all are refused, or decoded within limits."""
    pixels = zlib.compress(bytes(33 * 10))
    much = zlib.compress(bytes(300 * 2**20))
    texts = [_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2**20 - 1))) for _ in range(80)]
    translated = _chunk(b"iTXt", b"Comment\0\1\0\0\0" + much)
    return [
        *(_png(width, height, pixels) for width, height in _PROMISED),
        *(_jpeg_of(width, height) for width, height in ((65_500, 65_500), (1, 65_500), (65_500, 1), (0, 0), (7071, 7071))),
        _png(10, 11, much),
        _png(10, 11, pixels, before=[_chunk(b"iCCP", b"profile\0\0" + much)]),
        _png(10, 11, pixels, before=[_chunk(b"zTXt", b"Comment\0\0" + much)]),
        _png(10, 11, pixels, before=[translated]),
        _png(10, 11, pixels, before=texts),
        _png(10, 11, pixels, before=[_chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))]),
        _png(10, 11, pixels, before=[_chunk(b"tEXt", b"x" * 2**20)] * 10),
        _SIGNATURE + struct.pack(">I", 2**31 - 1) + b"IHDR",
        _many_scans(1000),
        _many_scans(60_000),
    ]


_PROMISED = (
    (2**31 - 1, 2**31 - 1),
    (2**31 - 1, 1),
    (1, 2**31 - 1),
    (0, 0),
    (50_000, 50_000),
    (9459, 9459),  # just over Pillow's own limit
    (7072, 7072),  # just over ours
    (7000, 7000),  # within limits, but the pixels are missing
)


@cache
def heavy_images() -> Sequence[bytes]:
    """Whole images of as many pixels as are taken: what they need is needed."""
    face = draw_face(0, side=100)
    return [
        _encoded(Image.new("RGB", (7000, 7000), (90, 80, 70)), "PNG"),
        _encoded(Image.new("RGB", (7000, 7000), (90, 80, 70)), "JPEG", progressive=True),
        _encoded(Image.fromarray(np.tile(face, (1, 5000, 1))), "PNG"),  # a strip of 5,000 faces, 50 megapixels
        _encoded(Image.fromarray(np.tile(face, (1, 160, 1))), "PNG"),
        _encoded(Image.new("RGB", (2_500_000, 20)), "PNG"),
        _encoded(Image.new("I;16", (7000, 7000), 30_000), "PNG"),
    ]


def _flipped(image: bytes, place: int, chance: random.Random) -> bytes:
    return image[:place] + bytes([image[place] ^ 1 << chance.randrange(8)]) + image[place + 1 :]


def _encoded(image: Image.Image, kind: str, **parameters: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **parameters)
    return buffer.getvalue()


def _turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation
    return exif.tobytes()


def _png(width: int, height: int, pixels: bytes, *, before: Sequence[bytes] = ()) -> bytes:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, _RGB, 0, 0, 0))
    return _SIGNATURE + header + b"".join(before) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _jpeg_of(width: int, height: int) -> bytes:
    """A JPEG whose header says another size than its data have."""
    jpeg = _encoded(Image.new("RGB", (16, 16)), "JPEG")
    place = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:place] + struct.pack(">HH", height, width) + jpeg[place + 4 :]


def _many_scans(scans: int) -> bytes:
    """A JPEG whose last scan comes again and again; each goes over 49 megapixels in a few bytes."""
    jpeg = _encoded(Image.new("RGB", (7000, 7000), (120, 120, 120)), "JPEG", progressive=True)
    last = jpeg.rindex(b"\xff\xda")
    return jpeg[:-2] + jpeg[last:-2] * scans + jpeg[-2:]
