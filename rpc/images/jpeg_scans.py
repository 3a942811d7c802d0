"""How many times a JPEG decoder goes over the pixels."""

import re

# From 0xC0 on but for restarts, which stand within a scan. Within compressed data 0xFF is followed by 0 or a restart.
_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")
_START, _END, _START_OF_SCAN = 0xD8, 0xD9, 0xDA


def scans_of(jpeg: bytes) -> int:
    """The number of scans up to the end of the (first) image of a file; what may be appended to it does not count.

    Finds markers as libjpeg does, which passes over whatever stands between them, so that none can be hidden.
    """
    scans = place = 0
    while found := _MARKER.search(jpeg, place):
        place, marker = found.end(), jpeg[found.end() - 1]
        if marker == _END:
            break
        if marker != _START:
            place += int.from_bytes(jpeg[place : place + 2])  # the segment's own length
        scans += marker == _START_OF_SCAN
    return scans
