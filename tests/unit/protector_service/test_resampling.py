"""Resampling as a matrix of each axis: Pillow's own, in real numbers, and its transpose."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from protector_service.resampling import BAND, Banded, Resampling, resampling_matrix
from recognizers.extraction import CropBox, crop

CPU, DOUBLE = torch.device("cpu"), torch.float64
SIDES = st.integers(1, 90)
LARGE = 3 * BAND  # of several blocks


def resampling(height: int, width: int, *, to: int) -> Resampling:
    return Resampling((height, width), to=to, device=CPU, dtype=DOUBLE)


def image(height: int, width: int, *, seed: int = 0) -> Tensor:
    """Levels 0..255, not whole."""
    return 255 * torch.rand(3, height, width, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


def by_pillow(x: Tensor, *, to: int) -> Tensor:
    """Pillow in its mode for real numbers of 32 bits, which it does not round to levels."""
    channels = [Image.fromarray(channel.numpy().astype(np.float32)) for channel in x]
    resized = [np.asarray(channel.resize((to, to), Image.Resampling.BILINEAR)) for channel in channels]
    return torch.from_numpy(np.stack(resized)).to(x)


@given(height=SIDES, width=SIDES, to=st.integers(1, 70), seed=st.integers(0, 99))
@settings(deadline=None)
def test_an_image_is_resampled_as_pillow_resamples_real_numbers(height: int, width: int, to: int, seed: int) -> None:
    x = image(height, width, seed=seed)
    torch.testing.assert_close(resampling(height, width, to=to).image(x), by_pillow(x, to=to), rtol=0, atol=2e-4)


@pytest.mark.parametrize(("height", "width"), [(LARGE, LARGE + 1), (2 * LARGE, 40), (31, LARGE)])
def test_a_large_image_whose_matrices_are_multiplied_in_blocks_is_too(height: int, width: int) -> None:
    x = image(height, width)
    torch.testing.assert_close(resampling(height, width, to=48).image(x), by_pillow(x, to=48), rtol=0, atol=2e-4)


@given(box=st.tuples(SIDES, SIDES), to=st.integers(1, 70), seed=st.integers(0, 99))
@settings(deadline=None)
def test_what_is_seen_is_the_crop_but_for_its_rounding_after_each_axis(box: tuple[int, int], to: int, seed: int) -> None:
    height, width = box
    photo = np.random.default_rng(seed).integers(0, 256, (height + 3, width + 2, 3)).astype(np.uint8)
    rounded = crop(photo, CropBox(1, 2, 1 + width, 2 + height), side=to)
    x = torch.from_numpy(photo[2 : 2 + height, 1 : 1 + width].copy()).permute(2, 0, 1).to(DOUBLE)
    seen = resampling(height, width, to=to).image(x).permute(1, 2, 0).numpy()
    assert np.abs(seen - rounded).max() <= 1 + 1e-2, "half a level for each axis, and Pillow's weights are of 22 bits"


@given(height=SIDES, width=SIDES, to=st.integers(1, 70), seed=st.integers(0, 99))
@settings(deadline=None)
def test_the_adjoint_is_the_transpose(height: int, width: int, to: int, seed: int) -> None:
    """<R x, y> = <x, R* y> for any x and y."""
    way, x, y = resampling(height, width, to=to), image(height, width, seed=seed), image(to, to, seed=seed + 1)
    torch.testing.assert_close((way.image(x) * y).sum(), (x * way.pull_back(y)).sum())


@pytest.mark.parametrize(("height", "width", "to"), [(20, 21, 8), (5, 6, 16), (LARGE, LARGE + 1, 32), (2, LARGE, 4)])
def test_the_adjoint_is_the_gradient_that_autograd_finds(height: int, width: int, to: int) -> None:
    way, x, y = resampling(height, width, to=to), image(height, width).requires_grad_(True), image(to, to, seed=1)
    (gradient,) = torch.autograd.grad((way.image(x) * y).sum(), x)
    torch.testing.assert_close(way.pull_back(y), gradient)


@given(place=st.tuples(st.integers(0, 2), st.integers(0, 12), st.integers(0, 11)), to=st.integers(2, 30))
@settings(deadline=None)
def test_the_adjoint_is_the_finite_difference_of_a_function_of_what_is_seen(place: tuple[int, int, int], to: int) -> None:
    way, x = resampling(13, 12, to=to), image(13, 12)
    gradient = way.pull_back(way.image(x).cos())  # of the sum of sines
    step = torch.zeros_like(x)
    step[place] = 1e-4
    above, below = (way.image(x + sign * step).sin().sum() for sign in (1, -1))
    torch.testing.assert_close((above - below) / 2e-4, gradient[place], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("side", "to"), [(10, 6), (10, 10), (10, 3), (160, 112), (224, 160), (6, 10)])
def test_a_matrix_resamples_as_pytorch_does_and_keeps_a_flat_image_flat(side: int, to: int) -> None:
    matrix = resampling_matrix(side, to=to, device=CPU, dtype=DOUBLE)
    x = image(side, side)
    expected = interpolate(x[None], size=(to, to), mode="bilinear", antialias=True)[0]
    torch.testing.assert_close(resampling(side, side, to=to).image(x), expected)
    torch.testing.assert_close(matrix.sum(1), torch.ones(to, dtype=DOUBLE))


def test_what_lies_between_the_blocks_of_a_large_matrix_is_left_out() -> None:
    matrix = resampling_matrix(16 * BAND, to=160, device=CPU, dtype=DOUBLE)
    for banded in (Banded.of(matrix), Banded.of(matrix.T)):
        assert sum(block.numel() for _, block in banded.blocks) < matrix.numel() / 8
