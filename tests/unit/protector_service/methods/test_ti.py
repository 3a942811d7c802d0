"""The smoothing of gradients."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve

from protector_service.methods.ti import smoothed


def impulse(side: int, *, channel: int = 1) -> torch.Tensor:
    image = torch.zeros(3, side, side, dtype=torch.float64)
    image[channel, side // 2, side // 2] = 1
    return image


def kernel() -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """exp(-(x^2 + y^2) / 2) at 15 x 15 points from -3 to 3, over its sum."""
    line = [-3 + 6 * place / 14 for place in range(15)]
    values = np.array([[math.exp(-(x * x + y * y) / 2) for x in line] for y in line])
    return np.asarray(values / values.sum())


def test_the_kernel_is_a_gaussian_that_sums_to_1_and_looks_alike_from_every_side() -> None:
    answer = smoothed(impulse(21))
    assert float(answer.sum()) == pytest.approx(1)
    assert float(answer[[0, 2]].abs().sum()) == 0, "channels do not mix"
    assert np.allclose(answer[1, 3:18, 3:18], kernel(), atol=1e-15)
    for same in (answer[1].flip(0), answer[1].flip(1), answer[1].T):
        assert torch.allclose(answer[1], same, atol=1e-15)


@pytest.mark.parametrize("side", [1, 5, 14, 15, 32])
def test_it_is_scipy_s_convolution_with_zeros_around_the_image(side: int) -> None:
    gradient = torch.randn(3, side, side, generator=torch.Generator().manual_seed(side), dtype=torch.float64)
    expected = [convolve(channel, kernel(), mode="constant") for channel in gradient.numpy()]
    assert np.allclose(smoothed(gradient), np.stack(expected), atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_gradient_keeps_its_type(dtype: torch.dtype) -> None:
    answer = smoothed(impulse(21).to(dtype))
    assert answer.dtype == dtype
    assert torch.allclose(answer.double(), smoothed(impulse(21)), rtol=2 * torch.finfo(dtype).eps, atol=1e-6)
