"""Images that checks send, and properties of those that come back."""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, JpegImagePlugin

from conformance.check import Failed
from conformance.image_metadata import beside_pixels
from rpc.images.bare_image import BadImageError
from rpc.images.decoding import (
    check_cost,
    decode_image,
    encode_jpeg,
    encode_png,
)
from rpc.images.formats import bare_image
from rpc.images.limits import ImageLimits

Levels = NDArray[np.int16]  # (H, W, 3) RGB, 0..255

_ROTATED = 6  # in EXIF: the first row is the right side
_PNG_DEPTH = 24  # its offset in a file
_LARGE_PIXELS = 3_000_000
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class DecodedImage:
    """An image that came from a service."""

    levels: Levels
    format: str  # "PNG" or "JPEG"
    mode: str  # Pillow's: "RGB" where it is three channels of 8 bits
    still: bool
    beside: str  # in words, what the file holds that a decoder of RGB does not need; "" if nothing
    sampling: str  # of a JPEG's chroma
    tables: tuple[tuple[int, ...], ...]  # a JPEG's quantization, of each component
    channel_bits: int


def decoded(encoded: bytes, what: str) -> DecodedImage:
    """Decodes an image from a service.

    Raises:
        Failed: it is not a complete JPEG or PNG, or larger than any that a service sends.
    """
    try:
        bare = bare_image(encoded)
        check_cost(bare, limits=ImageLimits())
    except BadImageError as error:
        raise Failed(f"{what}: expected {error.expected}, got {error.actual}") from error
    try:
        with Image.open(io.BytesIO(bare.encoded), formats=(bare.format,)) as image:
            tables = tuple(tuple(image.quantization[table]) for *_, table in getattr(image, "layer", ()))  # type: ignore[attr-defined]
            levels = np.asarray(image.convert("RGB"), dtype=np.int16)
            sampling = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}.get(JpegImagePlugin.get_sampling(image), "another")
            bits = bare.encoded[_PNG_DEPTH] if bare.format == "PNG" else 8
            beside = ", ".join(beside_pixels(encoded))
            return DecodedImage(levels, bare.format, image.mode, not bare.animated, beside, sampling, tables, bits)
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, struct.error, ... for damage
        raise Failed(f"{what}: expected a whole JPEG or PNG image, got {len(encoded)} bytes that are not one") from error


def upright(photo: bytes) -> NDArray[np.uint8]:
    """A photo's RGB levels (H, W, 3), as services must decode it."""
    return decode_image(photo, field="photo", limits=ImageLimits())


def stored_pixels(encoded: bytes) -> NDArray[np.uint8]:
    """An image's RGB levels (H, W, 3) as stored in the file, whatever EXIF says."""
    with Image.open(io.BytesIO(encoded)) as image:
        return np.asarray(image.convert("RGB"))


def luma(jpeg: bytes) -> Levels:
    """A JPEG's luma (H, W) as it is stored, whatever its chroma is."""
    with Image.open(io.BytesIO(bare_image(jpeg).encoded), formats=("JPEG",)) as image:
        image.draft("L", image.size)
        return np.asarray(image.convert("L"), dtype=np.int16)


def mean_distance(one: Levels, other: Levels) -> float:
    """Between two images of the same size, in levels."""
    return float(np.abs(one - other).mean())


def faceless() -> bytes:
    """An image of one colour."""
    return encode_jpeg(np.full((96, 96, 3), 90, dtype=np.uint8), quality=95)


def annotated(photo: bytes, text: bytes = b"Another file.") -> bytes:
    """A photo with a comment, which is another file of the same pixels, and hardly a larger one."""
    if photo.startswith(_SIGNATURE):
        end = photo.rindex(b"IEND") - 4
        return photo[:end] + _chunk(b"tEXt", b"Comment\0" + text) + photo[end:]
    return photo[:2] + b"\xff\xfe" + struct.pack(">H", 2 + len(text)) + text + photo[2:]


@dataclass(frozen=True)
class Ambiguous:
    """An image that is easily misread."""

    image: bytes
    right: bytes  # what it shows, as a plain PNG
    wrong: bytes  # what it shows when it is misread, as a plain PNG


def rotated(photo: bytes) -> Ambiguous:
    """A photo whose pixels are rotated, as a JPEG whose EXIF says so."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = _ROTATED
    lying = _saved(Image.fromarray(upright(photo)).rotate(90, expand=True), "JPEG", quality=95, exif=exif)
    return Ambiguous(lying, encode_png(upright(lying)), encode_png(stored_pixels(lying)))


def turned(levels: NDArray[np.uint8]) -> bytes:
    """An image (H, W, 3) whose pixels are rotated, as a PNG whose EXIF says so."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = _ROTATED
    return _saved(Image.fromarray(levels).rotate(90, expand=True), "PNG", exif=exif)


def transparent(photo: bytes) -> Ambiguous:
    """A photo as a PNG that becomes transparent from left to right."""
    image = Image.fromarray(upright(photo)).convert("RGBA")
    ramp = np.linspace(255, 128, image.width).astype(np.uint8)
    image.putalpha(Image.fromarray(np.tile(ramp, (image.height, 1))))
    laid = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return Ambiguous(_saved(image, "PNG"), encode_png(np.asarray(laid)), encode_png(upright(photo)))


def bad_images(photo: bytes) -> Iterator[tuple[str, bytes]]:
    """Files that are not a complete image, with their descriptions."""
    png, jpeg = encode_png(upright(photo)), encode_jpeg(upright(photo), quality=95)
    yield "nothing", b""
    yield "a text", b"This is no image, whatever it is called."
    yield "a GIF", b"GIF89a\x01\x00\x01\x00\x00\x00\x00;"
    yield "noise behind a PNG signature", _SIGNATURE + bytes(range(1, 90))
    yield "half a JPEG", jpeg[: len(jpeg) // 2]
    yield "half a PNG", png[: len(png) // 2]
    yield "a damaged PNG", png[:60] + bytes(64) + png[124:]


@dataclass(frozen=True)
class Form:
    """A photo in one of the forms that services must accept."""

    what: str
    image: bytes
    plain: bytes  # the same as an RGB PNG
    lossless: bool  # whether it decodes to the same levels


def all_forms(photo: bytes) -> list[Form]:
    """A photo in every form that services must accept: `FORMS` in all, of `PLAIN_FORMS` plain images."""
    image = Image.fromarray(upright(photo))
    grey, palette = image.convert("L"), image.convert("P")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    colour, greys, coloured = (_saved(each.convert("RGB"), "PNG") for each in (image, grey, palette))
    return [
        Form("a progressive JPEG", _saved(image, "JPEG", quality=95, progressive=True), colour, lossless=False),
        Form("a CMYK JPEG", _saved(image.convert("CMYK"), "JPEG", quality=95), colour, lossless=False),
        Form("a JPEG with full chroma", _saved(image, "JPEG", quality=95, subsampling="4:4:4"), colour, lossless=False),
        Form("a grey JPEG", _saved(grey, "JPEG", quality=95), greys, lossless=False),
        Form("a grey PNG", _saved(grey, "PNG"), greys, lossless=True),
        Form("a PNG of 16 bits", _saved(deep, "PNG"), greys, lossless=True),
        Form("a PNG with a palette", _saved(palette, "PNG"), coloured, lossless=True),
    ]


FORMS, PLAIN_FORMS = 7, 3


def large(photo: bytes) -> bytes:
    """A photo as an uncompressed PNG of 8 to 12 MiB."""
    image = Image.fromarray(upright(photo))
    scale = (_LARGE_PIXELS / (image.width * image.height)) ** 0.5
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return _saved(image.resize(size, Image.Resampling.BICUBIC), "PNG", compress_level=0)


def bordered(photo: bytes) -> bytes:
    """A photo in the middle of a grey canvas of three times its width, as a PNG."""
    image = Image.fromarray(upright(photo))
    canvas = Image.new("RGB", (3 * image.width, image.height), (90, 110, 130))
    canvas.paste(image, (image.width, 0))
    return _saved(canvas, "PNG")


def _saved(image: Image.Image, kind: str, **parameters: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **parameters)
    return buffer.getvalue()


def bombs() -> Iterator[tuple[str, bytes]]:
    """Small files that state more pixels than any service can take, with their descriptions."""
    for side in (2**31 - 1, 200_000):
        header = _chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
        pixels = _chunk(b"IDAT", zlib.compress(bytes(10_000)))
        yield f"a PNG of {side} x {side} pixels", _SIGNATURE + header + pixels + _chunk(b"IEND", b"")
    jpeg = encode_jpeg(np.full((16, 16, 3), 90, dtype=np.uint8), quality=95)
    place = jpeg.index(b"\xff\xc0") + 5
    yield "a JPEG of 65500 x 65500 pixels", jpeg[:place] + struct.pack(">HH", 65_500, 65_500) + jpeg[place + 4 :]


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
