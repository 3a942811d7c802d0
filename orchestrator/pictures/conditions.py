"""Pictures under conditions: stored, and transformed in order.

The same bytes come of the same picture, in every process and thread, at the locked versions of Pillow, NumPy and SciPy.
"""

import io
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from orchestrator.errors import InputError
from orchestrator.experiment.condition import JPEG, Condition, Storage, Transform
from rpc.images.decoding import decoded_image, encode_jpeg, encode_png
from rpc.images.jpeg_segments import SIGNATURE as JPEG_SIGNATURE
from rpc.images.limits import ImageLimits

Pixels = NDArray[np.uint8]  # (H, W, 3) RGB


class _Picture:
    """A picture somewhere on its way: a file, or pixels that are in none yet. Each is made of the other once.

    Not by `functools.cached_property`: until Python 3.12 its lock is one for all pictures. Threads would wait for each
    other, and two of which one decodes and the other encodes would wait for ever.
    """

    def __init__(self, *, file: bytes | None = None, pixels: Pixels | None = None) -> None:
        self._file = file
        self._pixels = pixels

    @property
    def pixels(self) -> Pixels:
        if self._pixels is None:
            self._pixels = decoded_image(self.encoded, limits=ImageLimits())
        return self._pixels

    @property
    def is_jpeg(self) -> bool:
        return self._file is not None and self._file.startswith(JPEG_SIGNATURE)

    @property
    def encoded(self) -> bytes:
        if self._file is None:
            self._file = encode_png(self.pixels)
        return self._file


def under_conditions(picture: bytes | Pixels, conditions: Iterable[Condition]) -> dict[Condition, bytes]:
    """What is sent of a picture under each condition: the last JPEG of a chain that ends in one, the file as it is, or PNG.

    `picture` is a JPEG or PNG of at most the usual size, or pixels. What several conditions begin with is done once.

    Raises:
        BadImageError: it is none.
    """
    first = _Picture(file=picture) if isinstance(picture, bytes) else _Picture(pixels=picture)
    done: dict[tuple[Storage | Transform, ...], _Picture] = {(): first}

    def after(steps: tuple[Storage | Transform, ...]) -> _Picture:
        if steps not in done:
            done[steps] = _step(after(steps[:-1]), steps[-1])
        return done[steps]

    return {condition: after((condition.storage, *condition.transforms)).encoded for condition in conditions}


def check_possible(conditions: Iterable[Condition]) -> None:
    """Makes sure that what they are made with is installed.

    Raises:
        InputError: it is not.
    """
    needing = [each for each in conditions if any(step.kind in _BY_SCIPY for step in each.transforms)]
    if needing and find_spec("scipy") is None:
        raise InputError(f"--conditions: {needing[0]} needs SciPy: pip install 'face-deid-bench[report]'")


def under_condition(picture: bytes | Pixels, condition: Condition) -> bytes:
    """What is sent of a picture under one condition; see `under_conditions`."""
    return under_conditions(picture, [condition])[condition]


def _step(before: _Picture, step: Storage | Transform) -> _Picture:
    if isinstance(step, Storage):
        if step.jpeg_quality is not None:
            return _Picture(file=encode_jpeg(before.pixels, quality=step.jpeg_quality))
        return before if step.as_is or not before.is_jpeg else _Picture(pixels=before.pixels)
    if step.kind == JPEG:
        return _Picture(file=encode_jpeg(before.pixels, quality=int(step.strength)))
    return _Picture(pixels=_TRANSFORMS[step.kind](before.pixels, step.strength))


def resized(pixels: Pixels, side: float) -> Pixels:
    """With the longer side `side` pixels at most, by Lanczos, antialiased; never enlarged, and no side below one pixel."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def webp(pixels: Pixels, quality: float) -> Pixels:
    """As lossy WebP, and decoded."""
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "WEBP", quality=int(quality))
    with Image.open(encoded) as picture:
        return np.asarray(picture.convert("RGB"))


def blur(pixels: Pixels, sigma: float) -> Pixels:
    """Under a Gaussian of `sigma` pixels in float64, the picture mirrored at its edges, rounded half to even."""
    from scipy.ndimage import gaussian_filter  # only now: it takes a fifth of a second

    blurred: NDArray[np.float64] = gaussian_filter(pixels.astype(np.float64), sigma=(sigma, sigma, 0))
    return np.rint(blurred).astype(np.uint8)


def median(pixels: Pixels, size: float) -> Pixels:
    """The median of each channel over a window; the pixels at the picture's edges are repeated beyond them."""
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.MedianFilter(int(size))))


def with_bits(pixels: Pixels, bits: float) -> Pixels:
    """With 2 ** bits levels in each channel, evenly spaced over 0..255 (Xu et al. 2018, "Feature Squeezing", III-A)."""
    steps = 2 ** int(bits) - 1
    kept: NDArray[np.float64] = np.rint(pixels * (steps / 255))
    levels: Pixels = np.rint(kept * (255 / steps)).astype(np.uint8)
    return levels


_TRANSFORMS: Mapping[str, Callable[[Pixels, float], Pixels]] = {
    "bits": with_bits,
    "blur": blur,
    "median": median,
    "resize": resized,
    "webp": webp,
}
_BY_SCIPY = ("blur",)
