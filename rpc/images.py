"""Images from and to the wire. What comes from outside is limited before it is decoded."""

import io
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from rpc.errors import ServiceError, invalid_argument

FORMATS = ("JPEG", "PNG")


@dataclass(frozen=True)
class ImageLimits:
    """The largest encoded image taken, in bytes, and the largest decoded one, in pixels.

    `most_pixels` cannot be set above Pillow's own limit (89 megapixels), beyond which it takes an image for a bomb.
    """

    most_bytes: int = 16 * 2**20
    most_pixels: int = 50_000_000


def decode_image(encoded: bytes, *, field: str, limits: ImageLimits) -> NDArray[np.uint8]:
    """Decodes a JPEG or PNG to RGB (H, W, 3), uint8, EXIF orientation applied.

    Grey, CMYK, palette and 16-bit images are converted; alpha is laid over white.

    Raises:
        ServiceError: INVALID_ARGUMENT for `field`: empty, too large, not JPEG or PNG, animated, truncated or damaged.
    """
    if not encoded:
        raise invalid_argument(field, expected="a JPEG or PNG image", actual="nothing")
    if len(encoded) > limits.most_bytes:
        raise invalid_argument(field, expected=f"at most {limits.most_bytes} bytes", actual=f"{len(encoded)} bytes")
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(io.BytesIO(encoded), formats=FORMATS) as image:
                _check_header(image, field=field, limits=limits)
                if image.format == "PNG":
                    _check_png_is_whole(encoded)
                image.load()
                return _to_rgb(image)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise _too_many_pixels(field, "more", limits) from error
        except UnidentifiedImageError as error:
            raise invalid_argument(field, expected="a JPEG or PNG image", actual=f"{len(encoded)} other bytes") from error
        except ServiceError:
            raise
        except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, struct.error, ... for damage
            raise invalid_argument(field, expected="a whole image", actual="a truncated or damaged one") from error


def _check_header(image: Image.Image, *, field: str, limits: ImageLimits) -> None:
    if image.width * image.height > limits.most_pixels:
        raise _too_many_pixels(field, f"{image.width} x {image.height}", limits)
    # A phone's JPEG may carry further pictures (MPO) after the photo; an animation has no one photo.
    if image.format == "PNG" and getattr(image, "n_frames", 1) > 1:
        raise invalid_argument(field, expected="a still image", actual="an animated one")


def _check_png_is_whole(encoded: bytes) -> None:
    """Pillow decodes a PNG that ends early where its pixels happen to be complete; verify() reads to the end."""
    with Image.open(io.BytesIO(encoded), formats=FORMATS) as image:
        image.verify()


def _too_many_pixels(field: str, actual: str, limits: ImageLimits) -> ServiceError:
    return invalid_argument(field, expected=f"at most {limits.most_pixels} pixels", actual=actual)


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):  # 16-bit grey, which Pillow's own conversion would clip
        levels = np.asarray(upright, dtype=np.int64)
        transparent = levels == upright.info.get("transparency", -1)
        high_bytes = np.where(transparent, 255, (levels >> 8).clip(0, 255))
        upright = Image.fromarray(high_bytes.astype(np.uint8))
    if upright.has_transparency_data:
        rgba = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return np.asarray(upright.convert("RGB"))


def encode_jpeg(pixels: NDArray[np.uint8], *, quality: int) -> bytes:
    """RGB (H, W, 3), uint8, as JPEG with 4:2:0 chroma subsampling."""
    return _encode(pixels, format="JPEG", quality=quality, subsampling="4:2:0")


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """RGB (H, W, 3), uint8, as PNG."""
    return _encode(pixels, format="PNG")


def _encode(pixels: NDArray[np.uint8], **parameters: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, **parameters)  # type: ignore[arg-type]
    return buffer.getvalue()
