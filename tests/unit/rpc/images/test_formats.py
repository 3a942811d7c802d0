"""What is said of files that are neither JPEG nor PNG."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from rpc.errors import ServiceError
from rpc.images.decoding import decode_image
from rpc.images.limits import ImageLimits

CONVERT = "convert it to JPEG or PNG"


def actual(encoded: bytes) -> str:
    with pytest.raises(ServiceError) as refused:
        decode_image(encoded, field="photo", limits=ImageLimits())
    assert refused.value.violation is not None
    assert refused.value.violation.expected == "a JPEG or PNG image"
    return refused.value.violation.actual


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("WEBP", "a WebP"),
        ("GIF", "a GIF"),
        ("BMP", "a BMP"),
        ("TIFF", "a TIFF or a camera's raw file"),
        ("AVIF", "a HEIC or AVIF"),
        ("JPEG2000", "a JPEG 2000"),
        ("PDF", "a PDF or PostScript document"),
    ],
)
def test_another_format_is_named_whatever_the_file_is_called(kind: str, what: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, kind)
    assert actual(buffer.getvalue()) == f"{what}; {CONVERT}"


def box(brand: bytes) -> bytes:
    return struct.pack(">I", 24) + b"ftyp" + brand + bytes(4) + b"mif1heic"


@pytest.mark.parametrize(
    ("beginning", "what"),
    [
        (b"", "nothing"),
        (b"no image at all", "15 other bytes"),
        (b"\xff", "1 other bytes"),
        (bytes(1000), "1000 bytes that begin with zeros, as a copy leaves them that broke off"),
        (box(b"heic"), f"a HEIC or AVIF; {CONVERT}"),
        (box(b"mif1"), f"a HEIC or AVIF; {CONVERT}"),
        (box(b"avif"), f"a HEIC or AVIF; {CONVERT}"),
        (box(b"crx "), f"a camera's raw file; {CONVERT}"),
        (box(b"qt  "), "a film; leave it out"),
        (b"MM\0*", f"a TIFF or a camera's raw file; {CONVERT}"),
        (b"\xff\x0a\xfa\x1f", f"a JPEG XL; {CONVERT}"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", f"a JPEG XL; {CONVERT}"),
        (b"8BPS\0\1", f"a Photoshop document; {CONVERT}"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", f"a PDF or PostScript document; {CONVERT}"),
        (b"\n <!DOCTYPE html><title>Sign in</title>", "a web page; fetch the photo itself"),
        (b"\xef\xbb\xbf<HTML lang=en>", "a web page; fetch the photo itself"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code>", f"an XML or SVG document; {CONVERT}"),
        (b"\0\5\x16\7\0\2\0\0Mac OS X        ", "what macOS keeps beside a file (AppleDouble); leave it out"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer; fetch the photo itself"),
        (b"PK\3\4\x14\0", "an archive; unpack it"),
        (b"\x1f\x8b\x08\0", "an archive; unpack it"),
    ],
)
def test_what_people_have_in_place_of_a_photo_is_named_with_the_way_out(beginning: bytes, what: str) -> None:
    assert actual(beginning) == what


def test_what_a_file_holds_is_not_repeated() -> None:
    assert actual(b"a secret") == "8 other bytes"
    assert "secret" not in actual(b"<html><body>a secret</body></html>")
