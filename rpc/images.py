"""Images from and to the wire. What comes from outside is limited before it is decoded."""

import io
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from rpc.errors import ServiceError, invalid_argument
from rpc.jpeg_scans import scans_of

FORMATS = ("JPEG", "PNG")
# What costs more than its bytes and pixels say. In a strip of a photo MTCNN looks for the smallest of faces, at 4 GB and
# minutes for 50 megapixels; every scan of a progressive JPEG goes over all pixels, and 16 MB hold hours of empty ones.
LONGEST_SIDE = 16_384  # pixels
MOST_SCANS = 100  # a progressive JPEG has about ten


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
        ServiceError: INVALID_ARGUMENT for `field`: empty, too large, too long, of too many scans, not JPEG or PNG, animated,
            truncated or damaged.
    """
    if not encoded:
        raise invalid_argument(field, expected="a JPEG or PNG image", actual="nothing")
    if len(encoded) > limits.most_bytes:
        raise invalid_argument(field, expected=f"at most {limits.most_bytes} bytes", actual=f"{len(encoded)} bytes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Pillow thinks of a damaged image's metadata
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(io.BytesIO(encoded), formats=FORMATS) as image:
                _check_header(image, field=field, limits=limits)
                if image.format == "PNG":
                    _check_png_is_whole(encoded)
                else:
                    _check_scans(encoded, field=field)
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
    if max(image.size) > LONGEST_SIDE:
        raise invalid_argument(
            field, expected=f"at most {LONGEST_SIDE} pixels a side", actual=f"{image.width} x {image.height}"
        )
    # A phone's JPEG may carry further pictures (MPO) after the photo; an animation has no one photo.
    if image.format == "PNG" and getattr(image, "n_frames", 1) > 1:
        raise invalid_argument(field, expected="a still image", actual="an animated one")


def _check_png_is_whole(encoded: bytes) -> None:
    """Pillow decodes a PNG that ends early where its pixels happen to be complete; verify() reads to the end."""
    with Image.open(io.BytesIO(encoded), formats=FORMATS) as image:
        image.verify()


def _check_scans(encoded: bytes, *, field: str) -> None:
    if (scans := scans_of(encoded)) > MOST_SCANS:
        raise invalid_argument(field, expected=f"a JPEG of at most {MOST_SCANS} scans", actual=str(scans))


def _too_many_pixels(field: str, actual: str, limits: ImageLimits) -> ServiceError:
    return invalid_argument(field, expected=f"at most {limits.most_pixels} pixels", actual=actual)


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):  # 16-bit grey, which Pillow's own conversion would clip
        levels = np.asarray(upright)
        high_bytes = (levels >> 8).clip(0, 255).astype(np.uint8)
        high_bytes[levels == upright.info.get("transparency", -1)] = 255
        upright = Image.fromarray(high_bytes)
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
