"""Encoded images that Pillow does not write, made byte by byte; headers cost nothing, whatever size they state."""

import struct
import zlib
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

# What a viewer does to the stored pixels, by EXIF 2.3, tag 0x0112.
UPRIGHT: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    1: lambda pixels: pixels,
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels, 2).transpose(1, 0, 2),
    8: lambda pixels: np.rot90(pixels, 1),
}

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6  # PNG's colour types


def chunk(name: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, *, depth: int, colour: int, rows: bytes, before_data: bytes = b"") -> bytes:
    """A PNG of raw rows, each after its filter byte; `before_data` holds further chunks."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = (chunk(b"IHDR", header), before_data, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def png_of(levels: NDArray[np.uint8] | NDArray[np.uint16], *, colour: int, before_data: bytes = b"") -> bytes:
    """A PNG of (H, W, channels), 8 or 16 bits a channel by the array's type."""
    height, width, _ = levels.shape
    content = levels.astype(levels.dtype.newbyteorder(">"))
    rows = b"".join(b"\0" + row.tobytes() for row in content)
    return png(width, height, depth=8 * levels.dtype.itemsize, colour=colour, rows=rows, before_data=before_data)


def jpeg_header(width: int, height: int) -> bytes:
    """The beginning of a JPEG of three channels, up to and with its frame header."""
    components = b"".join(bytes((number, 0x11, 0)) for number in (1, 2, 3))
    frame = struct.pack(">HBHHB", 8 + len(components), 8, height, width, 3) + components
    return b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00\xff\xc0" + frame + b"\xff\xda\x00\x02"


def segment(marker: int, content: bytes) -> bytes:
    """A segment of a JPEG's header."""
    return bytes((0xFF, marker)) + struct.pack(">H", 2 + len(content)) + content


Entry = tuple[int, int, int, bytes]  # of EXIF: tag, type, count, value or offset


def exif(entries: Sequence[Entry], *, order: str = "<", stated: int | None = None) -> bytes:
    """EXIF of one directory, as a TIFF structure; `stated` is how many entries it says that it has."""
    body = b"".join(struct.pack(order + "HHL", *entry[:3]) + entry[3].ljust(4, b"\0")[:4] for entry in entries)
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "LH", 8, len(entries) if stated is None else stated)
    return head + body + bytes(4)
