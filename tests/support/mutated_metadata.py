"""Photographs with metadata of every kind and damage, by a seed. Their pixels are whole, and what they show is known."""

import io
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.support.pictures import UPRIGHT, Entry, chunk, exif, segment

ORIENTATION = 0x0112
_TYPES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 129, 65_535)  # of EXIF's entries, and some that there are not
_NUMBERS = (0, 1, 2, 3, 7, 255, 65_535, 2**31, 2**32 - 1)
_TAGS = (
    0x010F,
    0x0110,
    0x011A,
    0x011B,
    0x0128,
    0x0132,
    0x0213,
    0x0201,
    0x0202,
    0x829A,
    0x8769,
    0x8825,
    0xA005,
    0x927C,
    0,
    65_535,
)
_XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
_SIGNATURE_BYTES = 8


@dataclass(frozen=True)
class Photograph:
    """A file, and its levels (H, W, 3) as a viewer shows them."""

    encoded: bytes
    shown: NDArray[np.uint8]


def jpeg_photograph(seed: int) -> Photograph:
    """A JPEG with further segments in any places before its pixels, at times with EXIF that says how it lies."""
    chance = random.Random(seed)
    mode = chance.choice(("RGB", "RGB", "L", "CMYK"))
    image = _picture(chance).convert(mode)
    clean = _saved(image, "JPEG", quality=chance.choice((30, 75, 95)), progressive=chance.random() < 0.3)
    header, rest = _header(clean)
    further = [_jpeg_metadata(chance) for _ in range(chance.randrange(6))]
    orientation = 1
    if chance.random() < 0.7:
        tiff, orientation = _some_exif(chance)
        further.append(segment(0xE1, b"Exif\0\0" + tiff))
    for part in further:
        header.insert(chance.randint(0, len(header)), part)
    if orientation > 1 and chance.random() < 0.2:  # another program's, after the first
        header.append(segment(0xE1, b"Exif\0\0" + _some_exif(chance)[0]))
    return Photograph(b"\xff\xd8" + b"".join(header) + rest, _shown(clean, orientation))


def png_photograph(seed: int) -> Photograph:
    """A PNG with further chunks in any places, at times with EXIF that says how it lies, and with wrong checksums."""
    chance = random.Random(seed)
    clean = _saved(_picture(chance).convert(chance.choice(("RGB", "RGB", "L", "P", "1"))), "PNG")
    parts = [part for each in _chunks(clean) for part in _split(each, chance)]
    further = [_at_times_wrong(_png_metadata(chance), chance) for _ in range(chance.randrange(1, 7))]
    orientation = 1
    if chance.random() < 0.7:
        tiff, stated = _some_exif(chance)
        whole = chunk(b"eXIf", tiff)
        further.append(_at_times_wrong(whole, chance))
        orientation = stated if further[-1] == whole else 1
    for part in further:
        parts.insert(chance.randrange(len(parts)), part)
    return Photograph(clean[:_SIGNATURE_BYTES] + b"".join(parts), _shown(clean, orientation))


def _shown(clean: bytes, orientation: int) -> NDArray[np.uint8]:
    """By Pillow alone, which has no metadata to see, and NumPy."""
    with Image.open(io.BytesIO(clean)) as image:
        return UPRIGHT[orientation](np.asarray(image.convert("RGB")))


def _picture(chance: random.Random) -> Image.Image:
    height, width = chance.randrange(9, 40), chance.randrange(9, 40)
    y, x = np.mgrid[0:height, 0:width]
    step = chance.randrange(3, 9)
    return Image.fromarray(np.stack([x * step, y * step, (x + 2 * y) * 3], axis=-1).astype(np.uint8))


def _saved(image: Image.Image, kind: str, **parameters: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **parameters)
    return buffer.getvalue()


# EXIF


def _some_exif(chance: random.Random) -> tuple[bytes, int]:
    """A TIFF structure of wrong entries, and the orientation that is to be read from it."""
    order = chance.choice("<>")
    entries = [_wrong_entry(chance) for _ in range(chance.randrange(12))]
    place, orientation = chance.randint(0, len(entries)), 1
    match chance.randrange(4):
        case 0 | 1:
            orientation = chance.randint(1, 8)
            entries.insert(place, (ORIENTATION, 3, 1, struct.pack(order + "H", orientation)))
        case 2:
            wrong = chance.choice([(3, 1, 0), (3, 1, 9), (3, 1, 255), (3, 2, 6), (3, 0, 6), (2, 1, 6), (5, 1, 6), (0, 1, 6)])
            entries.insert(place, (ORIENTATION, *wrong[:2], struct.pack(order + "H", wrong[2])))
        case _:
            pass
    whole = exif(entries, order=order, stated=chance.choice((None, None, len(entries) + 1, 65_535)))
    match chance.randrange(4):
        case 0:
            length = chance.randrange(len(whole))
            return whole[:length], orientation if length >= 10 + 12 * (place + 1) else 1
        case 1:
            return whole + bytes(chance.choice((100, 60_000))), orientation
        case _:
            return whole, orientation


def _wrong_entry(chance: random.Random) -> Entry:
    return chance.choice(_TAGS), chance.choice(_TYPES), chance.choice(_NUMBERS), chance.randbytes(4)


# JPEG


def _header(jpeg: bytes) -> tuple[list[bytes], bytes]:
    """The segments before the first scan, and the rest."""
    segments, place = [], 2
    while jpeg[place + 1] != 0xDA:
        end = place + 2 + int.from_bytes(jpeg[place + 2 : place + 4])
        segments.append(jpeg[place:end])
        place = end
    return segments, jpeg[place:]


def _jpeg_metadata(chance: random.Random) -> bytes:
    noise = chance.randbytes(chance.choice((0, 1, 5, 30, 3000)))
    return chance.choice(_JPEG_METADATA)(noise)


_JPEG_METADATA: list[Callable[[bytes], bytes]] = [
    lambda noise: segment(0xFE, noise),
    lambda noise: b"\xff\xfe\0\0",  # shorter than its own length
    lambda noise: segment(0xE0 + len(noise) % 14, b"noise" + noise),
    lambda noise: segment(0xEF, noise),
    lambda noise: segment(0xE0, b"JFIF\0"),
    lambda noise: segment(0xE0, b"JFXX\0\x10" + noise),
    lambda noise: segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + _XMP + noise),
    lambda noise: segment(0xE1, b'http://ns.adobe.com/xap/1.0/\0 hdrgm:Version="1.0"' + noise),
    lambda noise: segment(0xE2, b"ICC_PROFILE\0"),
    lambda noise: segment(0xE2, b"ICC_PROFILE\0\2\3" + noise),
    lambda noise: segment(0xE2, b"MPF\0" + noise),
    lambda noise: segment(0xE2, b"MPF\0" + exif([(0xB001, 4, 1, b"\3"), (0xB002, 7, 48, b"\xff\xff")])),
    lambda noise: segment(0xE2, b"FPXR\0" + noise),
    lambda noise: segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x03\xed\0\0\0\0\xff\xff" + noise),
    lambda noise: segment(0xED, b"Photoshop 3.0\0" + b"8BIM" + noise[:3]),
    lambda noise: segment(0xEE, b"Adobe" + noise[:6]),
]


# PNG


def _chunks(png: bytes) -> list[bytes]:
    chunks, place = [], _SIGNATURE_BYTES
    while place < len(png):
        end = place + 12 + int.from_bytes(png[place : place + 4])
        chunks.append(png[place:end])
        place = end
    return chunks


def _split(whole: bytes, chance: random.Random) -> list[bytes]:
    """Pixels may come in any number of chunks, empty ones too."""
    if whole[4:8] != b"IDAT" or chance.random() < 0.5:
        return [whole]
    content = whole[8:-4]
    first, second = sorted(chance.randint(0, len(content)) for _ in range(2))
    return [chunk(b"IDAT", piece) for piece in (content[:first], content[first:second], content[second:])]


def _at_times_wrong(whole: bytes, chance: random.Random) -> bytes:
    return whole[:-1] + bytes([whole[-1] ^ 1 << chance.randrange(8)]) if chance.random() < 0.3 else whole


@cache
def _long() -> bytes:
    return zlib.compress(b"history " * 200_000)  # 1.6 MB


def _png_metadata(chance: random.Random) -> bytes:
    noise = chance.randbytes(chance.choice((0, 1, 5, 30, 3000)))
    return chance.choice(_PNG_METADATA)(noise)


_PNG_METADATA: list[Callable[[bytes], bytes]] = [
    lambda noise: chunk(b"tEXt", b"Comment\0" + noise),
    lambda noise: chunk(b"tEXt", noise),
    lambda noise: chunk(b"tEXt", b"interlace\0" + b"1"),
    lambda noise: chunk(b"tEXt", b"transparency\0" + noise),
    lambda noise: chunk(b"tEXt", b"bbox\0" + noise),
    lambda noise: chunk(b"tEXt", b"exif\0" + noise),
    lambda noise: chunk(b"tEXt", b"Raw profile type exif\0\nexif\n" + noise),
    lambda noise: chunk(b"zTXt", b"Comment\0\0" + _long()),
    lambda noise: chunk(b"zTXt", b"Comment\0\7" + noise),
    lambda noise: chunk(b"zTXt", noise),
    lambda noise: chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + _long()),
    lambda noise: chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + _XMP),
    lambda noise: chunk(b"iTXt", b"Comment\0" + noise),
    lambda noise: chunk(b"iCCP", b"profile\0\0" + _long()),
    lambda noise: chunk(b"iCCP", b"profile\0\7" + noise),
    lambda noise: chunk(b"iCCP", b"profile"),
    *(
        lambda noise, name=name: chunk(name, noise)
        for name in (
            b"gAMA",
            b"cHRM",
            b"sRGB",
            b"pHYs",
            b"tIME",
            b"bKGD",
            b"hIST",
            b"sBIT",
            b"sPLT",
            b"vpAg",
            b"prIv",
            b"fcTL",
            b"fdAT",
        )
    ),
]
