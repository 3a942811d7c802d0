"""Structural dissimilarity, as a differentiable function of an image."""

import torch
from torch import Tensor
from torch.nn.functional import conv2d

LEVELS = 255
WINDOW = 11  # pixels: the side of the Gaussian window
SIGMA = 1.5  # pixels
_C1, _C2 = (0.01 * LEVELS) ** 2, (0.03 * LEVELS) ** 2


class Dssim:
    """DSSIM = (1 - SSIM) / 2 of images to a probe: 0 for the probe itself, and at most 1.

    SSIM (Wang et al. 2004) with their Gaussian window of 11 x 11 pixels, where it lies within the image, the mean over
    places and channels. An image that is smaller than the window has one as large as it has room for.
    """

    def __init__(self, probe: Tensor) -> None:
        """Takes a probe (3, S, S), in levels."""
        self._probe = probe
        self._window = gaussian(min(WINDOW, probe.shape[-1] - 1 + probe.shape[-1] % 2), sigma=SIGMA).to(probe)
        self._mean, square = self._means(probe, probe * probe)
        self._variance = square - self._mean**2

    def __call__(self, image: Tensor) -> Tensor:
        """The DSSIM of an image (3, S, S), in levels: a scalar."""
        mean, square, product = self._means(image, image * image, image * self._probe)
        variance, covariance = square - mean**2, product - mean * self._mean
        # SSIM = (2 m_x m_y + C1) (2 s_xy + C2) / ((m_x^2 + m_y^2 + C1) (s_x^2 + s_y^2 + C2))
        luminance = (2 * mean * self._mean + _C1) / (mean**2 + self._mean**2 + _C1)
        structure = (2 * covariance + _C2) / (variance + self._variance + _C2)
        return (1 - (luminance * structure).mean()) / 2

    def _means(self, *images: Tensor) -> tuple[Tensor, ...]:
        """The weighted mean of each image (3, S, S) at each place of the window."""
        planes = torch.stack(images).flatten(0, 1).unsqueeze(1)  # (3 N, 1, S, S)
        rows = conv2d(planes, self._window.view(1, 1, 1, -1))
        return conv2d(rows, self._window.view(1, 1, -1, 1)).squeeze(1).chunk(len(images))


def gaussian(size: int, *, sigma: float) -> Tensor:
    """The weights (size,) of a Gaussian at whole distances from its centre, which add up to 1."""
    places = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    weights = torch.exp(-(places**2) / (2 * sigma**2))
    return weights / weights.sum()
