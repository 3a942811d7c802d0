"""How much two pictures have in common: SSIM and PSNR, by scikit-image."""

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]  # (H, W, 3) RGB

LEVELS = 255  # the range that both measures are relative to
MIN_SIDE = 7  # pixels: the side of SSIM's window


def ssim(control: Image, cloak: Image) -> float:
    """Structural similarity, -1..1, and 1 for equal images (Wang et al. 2004), the mean over the channels of RGB.

    scikit-image's own window: 7 x 7, uniform, so that either side must have 7 pixels.
    """
    from skimage.metrics import structural_similarity  # only now: it takes a second

    return float(structural_similarity(control, cloak, data_range=LEVELS, channel_axis=2))  # type: ignore[no-untyped-call]


def psnr(control: Image, cloak: Image) -> float:
    """Peak signal-to-noise ratio in dB over all pixels and channels; infinite for equal images."""
    from skimage.metrics import peak_signal_noise_ratio

    with np.errstate(divide="ignore"):
        return float(peak_signal_noise_ratio(control, cloak, data_range=LEVELS))  # type: ignore[no-untyped-call]
