"""DSSIM beside scikit-image's SSIM, and its gradient beside finite differences."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from protector_service.methods.dssim import Dssim
from protector_service.methods.slopes import value_and_slope
from tests.support.feature_cloaks import dssim_of, image_of
from tests.support.networks import probe

SIDE = 16
pictures = arrays(np.uint8, (SIDE, SIDE, 3), elements=st.integers(0, 255))


@settings(max_examples=30, deadline=None)
@given(pictures, pictures)
def test_it_is_scikit_image_s_whatever_the_pictures(
    first: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], second: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
) -> None:
    assert float(Dssim(image_of(first))(image_of(second))) == pytest.approx(dssim_of(first, second), abs=1e-12)


@pytest.mark.parametrize("side", [11, 12, 40])
@pytest.mark.parametrize("amplitude", [1, 8, 255])
def test_it_is_scikit_image_s_for_noise_of_any_size_in_the_precision_of_methods(side: int, amplitude: int) -> None:
    clean = probe(side=side)
    noisy = np.clip(clean + np.random.default_rng(1).integers(-amplitude, amplitude + 1, clean.shape), 0, 255)
    found = float(Dssim(image_of(clean).float())(image_of(noisy.astype(np.uint8)).float()))
    assert found == pytest.approx(dssim_of(clean, noisy), abs=2e-5)


def test_its_gradient_is_that_of_finite_differences() -> None:
    x_0 = image_of(probe(side=13))
    x = x_0 + torch.linspace(-9, 9, x_0.numel(), dtype=x_0.dtype).sin().reshape(x_0.shape) * 5
    dissimilarity = Dssim(x_0)
    value, slope = value_and_slope(dissimilarity, x)
    assert value == float(dissimilarity(x))
    for place in [(0, 0, 0), (1, 6, 6), (2, 12, 3)]:
        step = torch.zeros_like(x)
        step[place] = 1e-3
        by_differences = float(dissimilarity(x + step) - dissimilarity(x - step)) / 2e-3
        assert float(slope[place]) == pytest.approx(by_differences, rel=1e-5)


@pytest.mark.parametrize("side", [1, 2, 7, 8, 10])
def test_an_image_that_is_smaller_than_the_window_has_one_too(side: int) -> None:
    x_0 = image_of(probe(side=side))
    assert float(Dssim(x_0)(x_0)) == pytest.approx(0, abs=1e-12)
    assert 0 < float(Dssim(x_0)(255 - x_0)) <= 1


@pytest.mark.parametrize(("height", "width"), [(40, 23), (11, 30)])
def test_it_is_scikit_image_s_of_a_box_that_is_no_square(height: int, width: int) -> None:
    first, second = (probe(side=40, seed=seed)[:height, :width] for seed in (0, 1))
    assert float(Dssim(image_of(first))(image_of(second))) == pytest.approx(dssim_of(first, second), abs=1e-12)


def test_a_box_that_is_narrower_than_the_window_has_one_as_wide_as_it_is() -> None:
    x_0 = image_of(probe(side=30)[:, :5])
    assert float(Dssim(x_0)(x_0)) == pytest.approx(0, abs=1e-12)
    assert 0 < float(Dssim(x_0)(255 - x_0)) <= 1
