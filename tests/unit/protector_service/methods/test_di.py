"""The diverse input."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor
from torch.nn.functional import interpolate

from protector_service.methods import di
from protector_service.methods.di import diverse
from protector_service.methods.draws import Draws
from protector_service.methods.transforms import pull_back

SIDE, LARGEST = 30, 33


def random_image(side: int = SIDE, *, seed: int = 0) -> Tensor:
    return 1 + 254 * torch.rand(3, side, side, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def transformed(image: Tensor, *, count: int) -> list[Tensor]:
    return [diverse(image, draws=Draws(b"%d" % copy)) for copy in range(count)]


@pytest.fixture
def unresized(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the padded image as it is, (3, LARGEST, LARGEST)."""

    def resize(image: Tensor, *, size: tuple[int, int], mode: str) -> Tensor:
        return image if image.shape[-1] == LARGEST else interpolate(image, size=size, mode=mode)

    monkeypatch.setattr(di, "interpolate", resize)


def test_about_half_of_the_images_are_left_as_they_are() -> None:
    image = random_image()
    unchanged = sum(torch.equal(image, each) for each in transformed(image, count=400))
    assert 160 <= unchanged <= 240, "a binomial's 4 standard deviations"


def test_an_image_keeps_its_shape_and_stays_within_its_levels_and_black() -> None:
    image = random_image()
    for each in transformed(image, count=50):
        assert each.shape == image.shape
        assert 0 <= float(each.min()) <= float(each.max()) <= float(image.max())


@pytest.mark.usefixtures("unresized")
def test_sizes_are_those_below_a_tenth_more_and_places_all_that_fit() -> None:
    image = torch.full((3, SIDE, SIDE), 9.0, dtype=torch.float64)
    found = set()
    for padded in transformed(image, count=800):
        if padded.shape[-1] == SIDE:
            continue  # left as it is
        assert padded.shape == (3, LARGEST, LARGEST)
        rows, columns = (padded[0] > 0).any(1).nonzero()[:, 0], (padded[0] > 0).any(0).nonzero()[:, 0]
        top, left, size = int(rows[0]), int(columns[0]), len(rows)
        expected = torch.zeros_like(padded)
        expected[:, top : top + size, left : left + size] = 9
        assert torch.allclose(padded, expected, atol=1e-12)
        found.add((size, top, left))
    assert found == {
        (size, top, left)
        for size in range(SIDE, LARGEST)
        for top in range(LARGEST - size + 1)
        for left in range(LARGEST - size + 1)
    }


@pytest.mark.parametrize("side", [1, 9])
def test_an_image_too_small_for_another_size_is_left_as_it_is(side: int) -> None:
    image = random_image(side)
    assert all(torch.equal(image, each) for each in transformed(image, count=20))


def test_a_tenth_more_is_a_whole_number_of_pixels_where_it_should_be() -> None:
    assert [int(di.LARGEST * side) for side in range(1, 1000)] == [side * 11 // 10 for side in range(1, 1000)]


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 45), st.binary(max_size=4))
def test_the_gradient_is_pulled_back_by_the_adjoint(side: int, key: bytes) -> None:
    image, gradient = random_image(side), random_image(side, seed=1)
    forth = (diverse(image, draws=Draws(key)) * gradient).sum()
    back = (image * pull_back(image, lambda x: diverse(x, draws=Draws(key)), gradient)).sum()
    assert float(forth) == pytest.approx(float(back), rel=1e-12)


def test_it_is_linear() -> None:
    one, other = random_image(), random_image(seed=1)
    for mixed, first, second in zip(
        transformed(2 * one - 3 * other, count=10), transformed(one, count=10), transformed(other, count=10), strict=True
    ):
        assert np.allclose(mixed, 2 * first - 3 * second, atol=1e-9)
