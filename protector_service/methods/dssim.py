"""Structural dissimilarity, as a differentiable function of an image."""

import torch
from torch import Tensor

LEVELS = 255
WINDOW = 11  # pixels: the side of the Gaussian window
SIGMA = 1.5  # pixels
_C1, _C2 = (0.01 * LEVELS) ** 2, (0.03 * LEVELS) ** 2


class Dssim:
    """DSSIM = (1 - SSIM) / 2 of images to a probe: 0 for the probe itself, and at most 1.

    SSIM (Wang et al. 2004) with their Gaussian window of 11 x 11 pixels, where it lies within the image, the mean over
    places and channels. An image that is smaller than the window along an axis has one as long as there is room for.
    """

    def __init__(self, probe: Tensor) -> None:
        """Takes a probe (3, H, W), in levels."""
        self._probe = probe
        self._down, self._across = (windows(side).to(probe) for side in probe.shape[-2:])
        self._mean, square = self._means(probe, probe * probe)
        self._variance = square - self._mean**2

    def __call__(self, image: Tensor) -> Tensor:
        """The DSSIM of an image (3, H, W), in levels: a scalar."""
        mean, square, product = self._means(image, image * image, image * self._probe)
        variance, covariance = square - mean**2, product - mean * self._mean
        # SSIM = (2 m_x m_y + C1) (2 s_xy + C2) / ((m_x^2 + m_y^2 + C1) (s_x^2 + s_y^2 + C2))
        luminance = (2 * mean * self._mean + _C1) / (mean**2 + self._mean**2 + _C1)
        structure = (2 * covariance + _C2) / (variance + self._variance + _C2)
        return (1 - (luminance * structure).mean()) / 2

    def _means(self, *images: Tensor) -> tuple[Tensor, ...]:
        """The weighted mean of each image (3, H, W) at each place of the window."""
        return (self._down @ torch.stack(images) @ self._across.T).unbind()


def windows(side: int) -> Tensor:
    """The matrix (places, side) whose rows are the window at each of its places along one axis."""
    size = min(WINDOW, side - 1 + side % 2)
    rows = torch.zeros(side - size + 1, side, dtype=torch.float64)
    for place, row in enumerate(rows):
        row[place : place + size] = gaussian(size, sigma=SIGMA)
    return rows


def gaussian(size: int, *, sigma: float) -> Tensor:
    """The weights (size,) of a Gaussian at whole distances from its centre, which add up to 1."""
    places = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    weights = torch.exp(-(places**2) / (2 * sigma**2))
    return weights / weights.sum()
