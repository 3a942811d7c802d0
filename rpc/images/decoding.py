"""Images from and to the wire. What comes from outside is limited before it is decoded."""

import io
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rpc.errors import invalid_argument
from rpc.images.bare_image import BadImageError, BareImage, damaged, truncated
from rpc.images.formats import bare_image
from rpc.images.jpeg_segments import scans_of
from rpc.images.limits import MAX_SCANS, MAX_SIDE, ImageLimits
from rpc.images.orientation import orientation_of

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LYING = frozenset((5, 6, 7, 8))  # orientations whose turn exchanges width and height


def decode_image(encoded: bytes, *, field: str, limits: ImageLimits) -> NDArray[np.uint8]:
    """Decodes the image of a request's field; see `decoded_image`.

    Raises:
        ServiceError: INVALID_ARGUMENT for `field`.
    """
    try:
        return decoded_image(encoded, limits=limits)
    except BadImageError as error:
        raise invalid_argument(field, expected=error.expected, actual=error.actual) from error


def decoded_image(encoded: bytes, *, limits: ImageLimits) -> NDArray[np.uint8]:
    """Decodes a JPEG or PNG to RGB (H, W, 3), uint8, EXIF orientation applied.

    Grey, CMYK, palette and 16-bit images are converted; alpha is laid over white. But for the orientation no metadata
    counts: Pillow does not see it, so that none of it, damaged or not, changes a pixel, is warned of, or costs a photo.

    Raises:
        BadImageError: empty, too large, too long, of too many scans, not JPEG or PNG, animated, truncated or damaged.
    """
    return _decoded(_bare(encoded, limits))


def stated_size(encoded: bytes, *, field: str, limits: ImageLimits) -> tuple[int, int]:
    """Width and height of the image of a request's field, upright, before its pixels are decoded.

    Raises:
        ServiceError: INVALID_ARGUMENT for `field`: see `upright_size`.
    """
    try:
        return upright_size(encoded, limits=limits)
    except BadImageError as error:
        raise invalid_argument(field, expected=error.expected, actual=error.actual) from error


def upright_size(encoded: bytes, *, limits: ImageLimits) -> tuple[int, int]:
    """Width and height of a JPEG or PNG, EXIF orientation applied, before its pixels are decoded.

    Raises:
        BadImageError: see `decoded_image`; whether its pixels are sound is not known.
    """
    bare = _bare(encoded, limits)
    lies = orientation_of(bare.exif) in _LYING
    return (bare.height, bare.width) if lies else (bare.width, bare.height)


def check_cost(bare: BareImage, *, limits: ImageLimits) -> None:
    """Looks at what an image states, before its pixels are decoded.

    Raises:
        BadImageError: it has too many pixels or scans, is too long, or has no pixels at all.
    """
    actual = f"{bare.width} x {bare.height}"
    max_pixels = min(limits.max_pixels, Image.MAX_IMAGE_PIXELS or limits.max_pixels)
    if bare.width * bare.height > max_pixels:
        raise BadImageError(expected=f"at most {max_pixels} pixels", actual=actual)
    if bare.width * bare.height == 0:
        raise BadImageError(expected="at least one pixel", actual=actual)
    if max(bare.width, bare.height) > MAX_SIDE:
        raise BadImageError(expected=f"at most {MAX_SIDE} pixels a side", actual=actual)
    if bare.format == "JPEG" and (scans := scans_of(bare.encoded)) > MAX_SCANS:
        raise BadImageError(expected=f"a JPEG of at most {MAX_SCANS} scans", actual=str(scans))


def _bare(encoded: bytes, limits: ImageLimits) -> BareImage:
    if len(encoded) > limits.max_bytes:
        raise BadImageError(expected=f"at most {limits.max_bytes} bytes", actual=f"{len(encoded)} bytes")
    bare = bare_image(encoded)
    check_cost(bare, limits=limits)
    if bare.animated:  # it has no one photo; a phone's JPEG may carry further pictures (MPO) after the photo
        raise BadImageError(expected="a still image", actual="an animated one")
    return bare


def _decoded(bare: BareImage) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(bare.encoded), formats=(bare.format,)) as image:
            image.load()
            turn = _TURNS.get(orientation_of(bare.exif))
            return _to_rgb(image if turn is None else image.transpose(turn))
    except MemoryError:
        raise  # which says nothing of the image
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, struct.error, ... for damage
        if bare.ended:
            raise damaged(bare.format, "its pixels cannot be decoded") from error
        raise truncated(bare.format, "it ends before its end mark") from error


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow's own conversion would clip
        levels = np.asarray(image)
        high_bytes = (levels >> 8).clip(0, 255).astype(np.uint8)
        high_bytes[levels == image.info.get("transparency", -1)] = 255
        image = Image.fromarray(high_bytes)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return np.asarray(image.convert("RGB"))


def encode_jpeg(pixels: NDArray[np.uint8], *, quality: int) -> bytes:
    """RGB (H, W, 3), uint8, as JPEG with 4:2:0 chroma subsampling."""
    return _encode(pixels, format="JPEG", quality=quality, subsampling="4:2:0")


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """RGB (H, W, 3), uint8, as PNG, quickly: a cloak is noise, and to look for repetitions in it costs time and bytes."""
    return _encode(pixels, format="PNG", compress_level=1, compress_type=zlib.Z_RLE)


def _encode(pixels: NDArray[np.uint8], **parameters: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, **parameters)  # type: ignore[arg-type]
    return buffer.getvalue()
