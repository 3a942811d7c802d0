"""The header of a JPEG, up to its first scan, and what of it decides on the pixels; how many scans there are."""

import re
from collections.abc import Iterator

from rpc.images.bare_image import (
    BadImageError,
    BareImage,
    damaged,
    too_many_parts,
    truncated,
)
from rpc.images.limits import MAX_PARTS

SIGNATURE = b"\xff\xd8\xff"
_START, _END = b"\xff\xd8", b"\xff\xd9"
_MARKER = re.compile(rb"\xff[\x01-\xfe]")  # any number of 0xFF may stand before it; 0xFF00 is none
# Those that stand beyond the header, but for restarts: they stand within a scan.
_LATER_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")
_WITHOUT_LENGTH = (0x01, *range(0xD0, 0xD8))  # of no meaning but within a scan
_SOI, _EOI, _SOS, _COM = 0xD8, 0xD9, 0xDA, 0xFE
_FIRST_KNOWN = 0xC0
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_RARE_FRAMES = frozenset((0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF))  # libjpeg has no decoder for them
_APP0, _APP1, _APP14, _APP15 = 0xE0, 0xE1, 0xEE, 0xEF
_EXIF = b"Exif\0\0"
# What applications write that decides on the colours, where it has as many bytes as libjpeg reads of it.
_COLOURS = {_APP0: (b"JFIF\0", 14), _APP14: (b"Adobe", 12)}
_FRAME_HEAD = 6  # bytes: bits a sample, height, width, channels
_BITS, _CHANNELS = 8, (1, 3, 4)


def bare_jpeg(jpeg: bytes) -> BareImage:
    """A JPEG without what comments and applications' segments before its first scan hold.

    Two of these decide on the colours and stay: JFIF's and Adobe's. Of several with EXIF the first is the photo's.

    Raises:
        BadImageError: the header is truncated or damaged, or of a kind that is not decoded.
    """
    header, exif, frame, end = bytearray(_START), b"", b"", 0
    for marker, start, end in _segments(jpeg):
        content = jpeg[start + 2 : end]
        if marker == _APP1 and content.startswith(_EXIF):
            exif = exif or content
        if marker in _FRAMES:
            if frame:
                raise damaged("JPEG", "it has two frames")
            frame = content
            if marker in _RARE_FRAMES:
                raise BadImageError(expected="a baseline or progressive JPEG", actual="a lossless or hierarchical one")
        if _decides(marker, content):
            header += jpeg[start - 2 : end]
    width, height = _size(frame)
    encoded = bytes(header) + jpeg[end:]
    return BareImage("JPEG", encoded, width, height, exif, ended=jpeg.find(_END, end) >= 0)


def _segments(jpeg: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each up to the first scan's, found as libjpeg does. It starts with two bytes of length."""
    place = len(_START)
    for _ in range(MAX_PARTS):
        if (found := _MARKER.search(jpeg, place)) is None:
            raise truncated("JPEG", "it ends within its header")
        place = found.end()
        marker = jpeg[place - 1]
        if marker in _WITHOUT_LENGTH:
            continue
        if marker < _FIRST_KNOWN:
            raise damaged("JPEG", "its header has a marker that means nothing")
        if marker == _SOI:
            raise damaged("JPEG", "another image begins within its header")
        if marker == _EOI:
            raise damaged("JPEG", "it ends before its pixels")
        end = place + max(2, int.from_bytes(jpeg[place : place + 2]))
        if end > len(jpeg):
            what = "a segment reaches beyond its end"
            raise damaged("JPEG", what) if jpeg.endswith(_END) else truncated("JPEG", "it ends within its header")
        yield marker, place, end
        if marker == _SOS:
            return
        place = end
    raise too_many_parts("JPEG", "segments before its pixels")


def _decides(marker: int, content: bytes) -> bool:
    if marker in _COLOURS:
        name, least = _COLOURS[marker]
        return content.startswith(name) and len(content) >= least
    return marker != _COM and not _APP0 <= marker <= _APP15


def _size(frame: bytes) -> tuple[int, int]:
    """Width and height that a frame states."""
    if len(frame) < _FRAME_HEAD:
        raise damaged("JPEG", "its header states no size")
    bits, channels = frame[0], frame[5]
    if bits != _BITS:
        raise BadImageError(expected=f"a JPEG of {_BITS} bits a sample", actual=str(bits))
    if channels not in _CHANNELS:
        raise BadImageError(expected="a JPEG of 1, 3 or 4 channels", actual=str(channels))
    return int.from_bytes(frame[3:5]), int.from_bytes(frame[1:3])


def scans_of(jpeg: bytes) -> int:
    """How many times a decoder goes over the pixels, up to the end of the (first) image of a file.

    Finds markers as libjpeg does, which passes over whatever stands between them, so that none can be hidden.
    """
    scans = place = 0
    while found := _LATER_MARKER.search(jpeg, place):
        place, marker = found.end(), jpeg[found.end() - 1]
        if marker == _EOI:
            break
        if marker != _SOI:
            place += int.from_bytes(jpeg[place : place + 2])  # the segment's own length
        scans += marker == _SOS
    return scans
