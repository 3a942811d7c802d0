"""The chunks of a PNG, and which of them decide on its pixels."""

import struct
import zlib
from collections.abc import Iterator, Mapping

from rpc.images.bare_image import (
    BadImageError,
    BareImage,
    damaged,
    too_many_parts,
    truncated,
)
from rpc.images.limits import MAX_PARTS

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = b"\0\0\0\0IEND"
_ONCE = (b"IHDR", b"PLTE", b"tRNS")  # before the pixels
_DECIDING = (*_ONCE, b"IDAT", b"IEND", b"acTL")
_HEADER = ">IIBBBBB"  # width, height, bit depth, colour type, compression, filter, interlacing
_PALETTE = 3  # colour type
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), _PALETTE: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}  # by colour type
_MIN_TRANSPARENCY = {0: 2, 2: 6, _PALETTE: 1}  # bytes, by the colour types that may have tRNS
_MAX_COLOURS = 256
_ANIMATION = 8  # bytes of acTL
_MAX_FRAMES = 2**31


def bare_png(png: bytes) -> BareImage:
    """A PNG of nothing but its header, palette, transparency and pixels, these in one chunk.

    All others are left out, wherever they stand and whatever is wrong with them. The first eXIf with a right checksum is the
    photo's. A picture that one frame follows (APNG's default image) is animated too.

    Raises:
        BadImageError: the file is truncated, or damaged in what decides on its pixels.
    """
    once: dict[bytes, bytes] = {}
    pixels, has_pixels, exif, frames, frames_before = bytearray(), False, b"", 0, 1
    for name, content in _sound_chunks(png):
        if name == b"IDAT":
            has_pixels = True
            pixels += content
        elif name in _ONCE:
            if has_pixels or name in once:
                raise damaged("PNG", f"{name.decode()} comes twice, or after the pixels")
            once[name] = bytes(content)
        elif name == b"eXIf":
            exif = exif or bytes(content)
        elif name == b"acTL" and not has_pixels:
            frames = _frames(content)
        elif name == b"fcTL" and not has_pixels:
            frames_before = 0  # the picture is the first frame itself
        elif name == b"CgBI":
            raise BadImageError(expected="a standard PNG", actual="one in Apple's own form (CgBI); convert it")
        elif name[:1].isupper():
            raise damaged("PNG", "a critical chunk has an unknown name")
    if not has_pixels:
        raise damaged("PNG", "it has no IDAT")
    width, height, colour = _header(once.get(b"IHDR", b""))
    colours = (_chunk(name, content) for name, content in _colours(once, colour))
    encoded = b"".join((SIGNATURE, _chunk(b"IHDR", once[b"IHDR"]), *colours, _chunk(b"IDAT", pixels), _chunk(b"IEND", b"")))
    return BareImage("PNG", encoded, width, height, exif, animated=frames > 0 and frames_before + frames > 1)


def _sound_chunks(png: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Name and content of those before IEND whose checksum is right.

    Raises:
        BadImageError: the file ends before IEND, or a chunk without which it cannot be decoded has a wrong checksum.
    """
    view, place = memoryview(png), len(SIGNATURE)
    for _ in range(MAX_PARTS):
        if place + 8 > len(png):
            raise truncated("PNG", "it ends before its last chunk")
        length, name = struct.unpack_from(">I4s", png, place)
        if name == b"IEND":
            return
        if not name.isalnum():
            raise damaged("PNG", "there is no chunk where one should begin")
        start, end = place + 8, place + 8 + length
        if end + 4 > len(png):
            if png.find(_END, place) >= 0:
                raise damaged("PNG", "a chunk reaches beyond its end")
            raise truncated("PNG", "it ends within a chunk")
        checksum = int.from_bytes(view[end : end + 4])
        if zlib.crc32(view[place + 4 : end]) == checksum:
            yield name, view[start:end]
        else:
            _check_dispensable(name, view[start:end], checksum)
        place = end + 4
    raise too_many_parts("PNG", "chunks")


def _check_dispensable(name: bytes, content: memoryview, checksum: int) -> None:
    """For a chunk whose checksum is wrong. It covers the name too, and so tells what a damaged name was."""
    if name in _DECIDING:
        raise damaged("PNG", f"wrong checksum in {name.decode()}")
    if name[:1].isupper():
        raise damaged("PNG", "wrong checksum in a critical chunk")
    for lost in _DECIDING:
        if zlib.crc32(content, zlib.crc32(lost)) == checksum:
            raise damaged("PNG", f"the name of {lost.decode()} is damaged")


def _frames(content: memoryview) -> int:
    """How many frames acTL states; 0 where it states no number that can be."""
    frames = int.from_bytes(content[:4])
    return frames if len(content) >= _ANIMATION and frames <= _MAX_FRAMES else 0


def _header(content: bytes) -> tuple[int, int, int]:
    """Width, height and colour type."""
    if len(content) != struct.calcsize(_HEADER):
        raise damaged("PNG", "IHDR is missing or has a wrong length")
    width, height, depth, colour, compression, filtering, interlacing = struct.unpack(_HEADER, content)
    if depth not in _DEPTHS.get(colour, ()) or compression or filtering or interlacing > 1:
        raise damaged("PNG", "IHDR states what there is not")
    return width, height, colour


def _colours(once: Mapping[bytes, bytes], colour: int) -> Iterator[tuple[bytes, bytes]]:
    """Palette and transparency, where they decide on the pixels of this colour type."""
    if colour == _PALETTE:
        palette = once.get(b"PLTE", b"")
        if not palette or len(palette) % 3 or len(palette) > 3 * _MAX_COLOURS:
            raise damaged("PNG", "PLTE is missing or has a wrong length")
        yield b"PLTE", palette
    if b"tRNS" in once and colour in _MIN_TRANSPARENCY:
        if len(once[b"tRNS"]) < _MIN_TRANSPARENCY[colour]:
            raise damaged("PNG", "tRNS has a wrong length")
        yield b"tRNS", once[b"tRNS"]


def _chunk(name: bytes, content: bytes | bytearray) -> bytes:
    return b"".join((struct.pack(">I", len(content)), name, content, zlib.crc32(content, zlib.crc32(name)).to_bytes(4)))
