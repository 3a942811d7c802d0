"""What images from outside may cost. `decoding.check_cost` and the parsers of both formats hold images to it."""

from dataclasses import dataclass

# What costs more than its bytes and pixels say. In a strip of a photo MTCNN looks for the smallest of faces, at 4 GB and
# minutes for 50 megapixels; every scan of a progressive JPEG goes over all pixels, and 16 MB hold hours of empty ones.
MAX_SIDE = 16_384  # pixels
MAX_SCANS = 100  # a progressive JPEG has about ten
MAX_PARTS = 100_000  # chunks of a PNG, segments of a JPEG before its pixels: photos have thousands, 16 MB hold millions


@dataclass(frozen=True)
class ImageLimits:
    """The largest encoded image taken, in bytes, and the largest decoded one, in pixels.

    `max_pixels` cannot be set above Pillow's own limit (89 megapixels), beyond which it takes an image for a bomb.
    """

    max_bytes: int = 16 * 2**20
    max_pixels: int = 50_000_000
