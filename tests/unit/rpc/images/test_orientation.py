"""How a photo is to be turned, read from EXIF of every kind of damage."""

import struct

import pytest

from rpc.images.orientation import orientation_of
from tests.support.pictures import Entry, exif

ORIENTATION = 0x0112
BYTE, ASCII, SHORT, LONG, RATIONAL, SIGNED_SHORT = 1, 2, 3, 4, 5, 8
MAKER: Entry = (0x010F, ASCII, 4, b"me\0\0")


def stated(orientation: int, *, order: str = "<") -> Entry:
    return ORIENTATION, SHORT, 1, struct.pack(order + "H", orientation)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_eight_orientations_are_read_in_either_byte_order(order: str, orientation: int) -> None:
    entries = [MAKER, stated(orientation, order=order), MAKER]
    assert orientation_of(exif(entries, order=order)) == orientation
    assert orientation_of(b"Exif\0\0" + exif(entries, order=order)) == orientation


@pytest.mark.parametrize(("kind", "form"), [(BYTE, "B"), (SHORT, "H"), (LONG, "L")])
@pytest.mark.parametrize("order", ["<", ">"])
def test_an_orientation_may_be_of_any_unsigned_type(kind: int, form: str, order: str) -> None:
    assert orientation_of(exif([(ORIENTATION, kind, 1, struct.pack(order + form, 6))], order=order)) == 6


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(stated(0), id="0"),
        pytest.param(stated(9), id="9"),
        pytest.param(stated(65_535), id="65535"),
        pytest.param((ORIENTATION, LONG, 1, struct.pack("<L", 6 + 2**16)), id="beyond 16 bits"),
        pytest.param((ORIENTATION, SHORT, 0, b"\6"), id="none"),
        pytest.param((ORIENTATION, SHORT, 2, b"\6\0\6\0"), id="two"),
        pytest.param((ORIENTATION, SHORT, 2**32 - 1, b"\6"), id="very many"),
        pytest.param((ORIENTATION, ASCII, 2, b"6\0"), id="text"),
        pytest.param((ORIENTATION, RATIONAL, 1, b"\6"), id="rational"),
        pytest.param((ORIENTATION, SIGNED_SHORT, 1, b"\6"), id="signed"),
        pytest.param((ORIENTATION, 0, 1, b"\6"), id="no type"),
        pytest.param((ORIENTATION, 65_535, 1, b"\6"), id="unknown type"),
    ],
)
def test_an_orientation_that_is_none_is_upright(entry: Entry) -> None:
    assert orientation_of(exif([MAKER, entry, stated(3)])) == 1


@pytest.mark.parametrize("wrong", [(0x011A, ASCII, 2**32 - 1, b"\xff" * 4), (0x8769, LONG, 1, b"\xff" * 4), (0, 0, 0, b"")])
def test_other_entries_may_be_as_wrong_as_they_like(wrong: Entry) -> None:
    assert orientation_of(exif([wrong, stated(8), wrong], stated=65_535)) == 8


def test_exif_that_ends_early_is_read_up_to_there() -> None:
    whole = exif([MAKER, stated(6), MAKER])
    read = [orientation_of(whole[:length]) for length in range(len(whole) + 1)]
    ends = 10 + 2 * 12  # head, two entries
    assert read == [1] * ends + [6] * (len(whole) + 1 - ends)


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"Exif\0\0",
        b"II",
        b"MM\0*",
        b"II*\0\xff\xff\xff\xff",
        b"IM*\0" + exif([stated(6)])[4:],
        b"II+\0" + exif([stated(6)])[4:],
    ],
)
def test_exif_that_cannot_be_read_is_upright(damaged: bytes) -> None:
    assert orientation_of(damaged) == 1


def test_a_directory_may_stand_anywhere() -> None:
    directory = exif([stated(5)])[8:]
    assert orientation_of(b"II*\0" + struct.pack("<L", 99) + bytes(91) + directory) == 5
    assert orientation_of(b"II*\0" + struct.pack("<L", 2**32 - 1) + directory) == 1
