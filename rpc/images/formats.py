"""What a file is, told by its first bytes and never by its name."""

import re

from rpc.images.bare_image import BadImageError, BareImage, damaged
from rpc.images.jpeg_segments import SIGNATURE as JPEG
from rpc.images.jpeg_segments import bare_jpeg
from rpc.images.png_chunks import SIGNATURE as PNG
from rpc.images.png_chunks import bare_png

_CONVERT = "convert it to JPEG or PNG"
_LEAVE_OUT = "leave it out"
_FETCH = "fetch the photo itself"
_UNPACK = "unpack it"

# What people have in place of a photo, by its first bytes, and what to do about it. The first that fits is it.
_OTHERS = tuple(
    (re.compile(beginning, re.DOTALL | re.IGNORECASE), what, way_out)
    for beginning, what, way_out in (
        (rb"RIFF....WEBP", "a WebP", _CONVERT),
        (rb"....ftyp(hei[cmsx]|hev[cx]|mi[fa][f1]|msf1|avi[fs])", "a HEIC or AVIF", _CONVERT),
        (rb"....ftypcrx ", "a camera's raw file", _CONVERT),
        (rb"....ftyp", "a film", _LEAVE_OUT),
        (rb"GIF8", "a GIF", _CONVERT),
        (rb"BM....\0\0\0\0", "a BMP", _CONVERT),
        (rb"II[*+]\0|MM\0[*+]", "a TIFF or a camera's raw file", _CONVERT),
        (rb"\xff\x0a|\0\0\0\x0cJXL ", "a JPEG XL", _CONVERT),
        (rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  ", "a JPEG 2000", _CONVERT),
        (rb"8BPS", "a Photoshop document", _CONVERT),
        (rb"%PDF|%!PS", "a PDF or PostScript document", _CONVERT),
        (rb"(\xef\xbb\xbf)?\s*<(!doctype\s+html|html)", "a web page", _FETCH),
        (rb"(\xef\xbb\xbf)?\s*<(\?xml|svg)", "an XML or SVG document", _CONVERT),
        (rb"version https://git-lfs", "a Git LFS pointer", _FETCH),
        (rb"\0\x05\x16[\0\x07]", "what macOS keeps beside a file (AppleDouble)", _LEAVE_OUT),
        (rb"PK\x03\x04|\x1f\x8b", "an archive", _UNPACK),
    )
)
_LOOKED_AT = 512  # bytes


def bare_image(encoded: bytes) -> BareImage:
    """A JPEG or PNG without its metadata.

    Raises:
        BadImageError: it is something else, truncated, damaged, or of a kind that is not decoded.
    """
    if encoded.startswith(JPEG):
        return bare_jpeg(encoded)
    if encoded.startswith(PNG):
        return bare_png(encoded)
    if encoded.startswith(PNG[:4]):
        raise damaged("PNG", "its first bytes are others, as after a transfer as text")
    raise BadImageError(expected="a JPEG or PNG image", actual=_what_else(encoded))


def _what_else(encoded: bytes) -> str:
    if not encoded:
        return "nothing"
    for beginning, what, way_out in _OTHERS:
        if beginning.match(encoded, 0, _LOOKED_AT):
            return f"{what}; {way_out}"
    if not any(encoded[:_LOOKED_AT]):
        return f"{len(encoded)} bytes that begin with zeros, as a copy leaves them that broke off"
    return f"{len(encoded)} other bytes"
