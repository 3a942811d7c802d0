"""How a photo is to be turned, by the one entry of its EXIF that says so."""

import struct

UPRIGHT = 1
_ORIENTATIONS = range(UPRIGHT, 9)  # EXIF 2.3, tag 0x0112
_ORIENTATION = 0x0112
_PREFIX = b"Exif\0\0"
_BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}  # by the first bytes of a TIFF structure
_DIRECTORY, _ENTRIES, _ENTRY = "L", "H", "HHL4s"  # an entry: tag, type, count, value
_TYPES = {1: "B", 3: "H", 4: "L"}  # BYTE, SHORT, LONG: EXIF demands SHORT, TIFF 6.0 that readers take all three


def orientation_of(exif: bytes) -> int:
    """1..8 as EXIF numbers them; 1, upright, where none is stated, or none that can be read.

    The first entry for it in the first directory decides; what else EXIF holds, and what is wrong with that, changes
    nothing. XMP's `tiff:Orientation` does not count (for Pillow's `exif_transpose` it does where EXIF states none).
    """
    tiff = exif.removeprefix(_PREFIX)  # some programs write it into a PNG too
    order = _BYTE_ORDERS.get(tiff[:4])
    if order is None:
        return UPRIGHT
    try:
        (directory,) = struct.unpack_from(order + _DIRECTORY, tiff, 4)
        (entries,) = struct.unpack_from(order + _ENTRIES, tiff, directory)
        for number in range(entries):
            place = directory + 2 + number * struct.calcsize(order + _ENTRY)
            tag, kind, count, value = struct.unpack_from(order + _ENTRY, tiff, place)
            if tag == _ORIENTATION:
                return _stated(kind, count, value, order)
    except struct.error:  # it ends early
        pass
    return UPRIGHT


def _stated(kind: int, count: int, value: bytes, order: str) -> int:
    if count != 1 or kind not in _TYPES:
        return UPRIGHT
    (orientation,) = struct.unpack_from(order + _TYPES[kind], value)
    return orientation if orientation in _ORIENTATIONS else UPRIGHT
