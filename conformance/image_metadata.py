"""What an image file holds beside its pixels, by the structure of its format."""

import re
import struct
from collections.abc import Iterator
from math import inf

_PNG_SIGNATURE = 8  # bytes
# The chunks of a PNG with the maximum of bytes of each: those that decoders need, and those that encoders write by habit.
_CHUNKS = {b"IHDR": 13, b"IDAT": inf, b"IEND": 0, b"pHYs": 9, b"sRGB": 1, b"sBIT": 4, b"tIME": 7}
_MARKER = re.compile(rb"\xff[\x01-\xfe]")  # 0xFF00 is none: it stands within a scan
_SOS, _EOI, _COM, _APP0, _APP14 = 0xDA, 0xD9, 0xFE, 0xE0, 0xEE
_FRAMES = (0xC0, 0xC1, 0xC2)
_DHT, _DQT, _DRI = 0xC4, 0xDB, 0xDD
_WITHOUT_LENGTH = (0x01, *range(0xD0, 0xD9))
# A JPEG's segments, likewise: JFIF without a thumbnail, Adobe's, and a comment as short as those that name the encoder.
_SEGMENTS = dict.fromkeys((*_FRAMES, _DHT, _DQT, _DRI, _SOS), inf) | {_APP0: 16, _APP14: 14, _COM: 100}


def beside_pixels(encoded: bytes) -> Iterator[str]:
    """What a complete PNG or JPEG file holds that a decoder does not need."""
    yield from _in_jpeg(encoded) if encoded[:2] == b"\xff\xd8" else _in_png(encoded)


def _in_png(encoded: bytes) -> Iterator[str]:
    kind, place = b"", _PNG_SIGNATURE
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", encoded, place)
        if length > _CHUNKS.get(kind, -1):
            yield f"a chunk {kind.decode('latin-1')} of {length} bytes"
        place += 12 + length
    if place < len(encoded):
        yield f"{len(encoded) - place} bytes after the end"


def _in_jpeg(encoded: bytes) -> Iterator[str]:
    place = 2
    while found := _MARKER.search(encoded, place):
        place, marker = found.end(), encoded[found.end() - 1]
        if marker == _EOI:
            if place < len(encoded):
                yield f"{len(encoded) - place} bytes after the end"
            return
        if marker not in _WITHOUT_LENGTH:
            length = int.from_bytes(encoded[place : place + 2])
            if length > _SEGMENTS.get(marker, -1):
                yield f"a segment {marker:#04x} of {length} bytes"
            place += length
