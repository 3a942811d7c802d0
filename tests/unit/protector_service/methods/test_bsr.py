"""The block shuffle and rotation of an image."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import rotate

from protector_service.methods import bsr
from protector_service.methods.bsr import shuffled
from protector_service.methods.draws import Draws
from protector_service.methods.transforms import pull_back

SIDE = 13


def random_image(side: int = SIDE, *, seed: int = 0) -> Tensor:
    return 255 * torch.rand(3, side, side, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotated(block: Tensor, angle: float) -> Tensor:
    pixels = np.arange(block[0].numel()).reshape(block.shape[1:])
    return bsr._sampled(block, *bsr._rotated(pixels, angle))


def pieces(numbers: NDArray[np.int64]) -> int:
    """How many runs of successive numbers there are."""
    return 1 + int((np.diff(numbers) != 1).sum())


@pytest.fixture
def unrotated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bsr, "_angle", lambda draws: 0.0)


@pytest.mark.usefixtures("unrotated")
@pytest.mark.parametrize("side", [1, 2, 3, SIDE])
def test_without_rotation_every_pixel_is_kept_and_moved_with_all_its_colours(side: int) -> None:
    image = torch.arange(3 * side * side, dtype=torch.float64).view(3, side, side)
    for copy in range(20):
        moved = shuffled(image, draws=Draws(b"%d" % copy))
        assert moved.shape == image.shape
        assert sorted(moved[0].flatten().tolist()) == image[0].flatten().tolist()
        assert torch.equal(moved[1] - moved[0], image[1] - image[0])
        assert torch.equal(moved[2] - moved[0], image[2] - image[0])


@pytest.mark.usefixtures("unrotated")
def test_three_strips_are_cut_into_three_blocks_each_at_cuts_of_their_own() -> None:
    """Seen in an image of row numbers and one of column numbers."""
    rows = torch.arange(SIDE, dtype=torch.float64)[:, None].expand(3, SIDE, SIDE)
    lying, cuts = 0, set()
    for copy in range(60):
        row_numbers = shuffled(rows, draws=Draws(b"%d" % copy))[0].long().numpy()
        column_numbers = shuffled(rows.mT, draws=Draws(b"%d" % copy))[0].long().numpy()
        if (row_numbers == row_numbers[:, :1]).all():  # a strip lies: its pixels keep their neighbours of the row
            lying += 1
        else:
            row_numbers, column_numbers = column_numbers.T, row_numbers.T
        assert (row_numbers == row_numbers[:, :1]).all()
        assert 1 <= pieces(row_numbers[:, 0]) <= 3
        bands = [column_numbers[row_numbers[:, 0] == row][0] for row in range(SIDE)]
        assert all(sorted(band) == list(range(SIDE)) and 1 <= pieces(band) <= 3 for band in bands)
        assert 1 <= len({band.tobytes() for band in bands}) <= 3
        cuts |= {int(place) for place in 1 + np.nonzero(np.diff(row_numbers[:, 0]) != 1)[0]}
    assert 15 < lying < 45
    assert cuts == set(range(1, SIDE)), "a cut may be anywhere"


@pytest.mark.usefixtures("unrotated")
def test_all_orders_of_three_strips_occur() -> None:
    """The strip that holds the first row, the last, and neither."""
    rows = torch.arange(3, dtype=torch.float64)[:, None].expand(3, 3, 3)
    orders = set()
    for copy in range(100):
        moved = shuffled(rows, draws=Draws(b"%d" % copy))[0]
        if (moved == moved[:, :1]).all():
            orders.add(tuple(moved[:, 0].long().tolist()))
    assert len(orders) == 6


def test_angles_are_spread_evenly_over_24_degrees_either_way() -> None:
    draws = Draws(b"angles")
    degrees = np.degrees([bsr._angle(draws) for _ in range(2000)])
    assert np.abs(degrees).max() <= 24
    counts, _ = np.histogram(degrees, bins=8, range=(-24, 24))
    assert ((counts - 250) ** 2 / 250).sum() < 24.3, "7 degrees of freedom: the 0.999 quantile"


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (7, 2), (9, 9), (16, 11)])
@pytest.mark.parametrize("degrees", [-24.0, -7.5, 0.0, 24.0])
def test_a_block_is_rotated_as_torchvision_rotates_it(shape: tuple[int, int], degrees: float) -> None:
    block = random_image(16)[:, : shape[0], : shape[1]]
    expected = rotate(block, degrees, InterpolationMode.BILINEAR)
    assert torch.allclose(rotated(block, math.radians(degrees)), expected, atol=1e-9)


def test_a_block_that_is_not_rotated_is_the_same_bit_for_bit() -> None:
    block = random_image()
    assert torch.equal(rotated(block, 0.0), block)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 16), st.binary(max_size=4))
def test_the_gradient_is_pulled_back_by_the_adjoint(side: int, key: bytes) -> None:
    image, gradient = random_image(side), random_image(side, seed=1)
    forth = (shuffled(image, draws=Draws(key)) * gradient).sum()
    back = (image * pull_back(image, lambda x: shuffled(x, draws=Draws(key)), gradient)).sum()
    assert float(forth) == pytest.approx(float(back), rel=1e-12)


def test_no_step_of_the_adjoint_adds_in_any_order_on_a_gpu() -> None:
    """Of what PyTorch lists as nondeterministic there, two would be at hand; an index's adjoint sorts before it adds."""
    moved = shuffled(random_image().requires_grad_(True), draws=Draws(b""))
    names, nodes = set(), [moved.grad_fn]
    while nodes:
        node = nodes.pop()
        if node is not None and node not in names:
            names.add(node)
            nodes += [parent for parent, _ in node.next_functions]
    assert {node.name() for node in names}.isdisjoint({"GridSampler2DBackward0", "ScatterAddBackward0", "GatherBackward0"})
