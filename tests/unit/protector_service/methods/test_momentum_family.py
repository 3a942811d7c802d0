"""The momentum family beside its equations, stated once more: one image, a plain loop, autograd through the whole input."""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, cross_entropy
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import rotate

from protector_service.methods.draws import Draws
from protector_service.methods.method import MethodJob
from protector_service.methods.mi import unit_mean
from tests.support.crafting import crafted, method_job, pixels_of
from tests.support.engines import METHODS
from tests.support.networks import SmallRecognizer, probe

SIDE = 20  # the smallest that leaves the diverse input a choice of sizes
RECOGNIZER = SmallRecognizer(input_size=SIDE)

Gradient: TypeAlias = Callable[[MethodJob, Tensor, Tensor, int], Tensor]
"""A step's gradient, from the job, x (3, S, S), the momentum m and the number of steps before."""


def gradient_through(job: MethodJob, x: Tensor, seen: Callable[[Tensor], Tensor]) -> Tensor:
    """The gradient of J(seen(x)) with respect to x."""
    x = x.detach().requires_grad_(True)
    loss = cross_entropy(RECOGNIZER.logits(seen(x)[None]), torch.tensor([job.y_true]))
    loss.backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    return x.grad


def mi(job: MethodJob, x: Tensor, m: Tensor, step: int) -> Tensor:
    return gradient_through(job, x, lambda image: image)


def ni(job: MethodJob, x: Tensor, m: Tensor, step: int) -> Tensor:
    return gradient_through(job, x, lambda image: image + 1 * 1.0 * m)


def di(job: MethodJob, x: Tensor, m: Tensor, step: int) -> Tensor:
    return gradient_through(job, x, partial(diverse, draws=job.draws(step=step)))


def ti(job: MethodJob, x: Tensor, m: Tensor, step: int) -> Tensor:
    return convolved(mi(job, x, m, step))


def si(job: MethodJob, x: Tensor, m: Tensor, step: int) -> Tensor:
    copies = [gradient_through(job, x, partial(torch.div, other=2**i)) for i in range(5)]
    return torch.stack(copies).mean(0)


def ti_di_mi(job: MethodJob, x: Tensor, m: Tensor, step: int) -> Tensor:
    return convolved(di(job, x, m, step))


def bsr(job: MethodJob, x: Tensor, m: Tensor, step: int) -> Tensor:
    copies = [gradient_through(job, x, partial(moved_blocks, draws=job.draws(step=step, copy=copy))) for copy in range(20)]
    return torch.stack(copies).mean(0)


def diverse(image: Tensor, draws: Draws) -> Tensor:
    """By matrices of bilinear interpolation."""
    side, largest = 20, 22
    if draws.uniform(1)[0] >= 0.5:
        return image
    (size,) = draws.integers(side, largest - 1, 1)
    left, top = draws.integers(0, largest - size, 2)
    canvas = torch.zeros(3, largest, largest, dtype=image.dtype)
    canvas[:, top : top + size, left : left + size] = resized(image, size)
    return resized(canvas, side)


def resized(image: Tensor, size: int) -> Tensor:
    """Pixel i of the new lies at (i + 1/2) old / new - 1/2 of the old, and no further out than its outermost centres."""
    old = image.shape[-1]
    matrix = torch.zeros(size, old, dtype=image.dtype)
    for place in range(size):
        at = min(max((place + 0.5) * old / size - 0.5, 0), old - 1)
        low = int(at)
        matrix[place, low] += 1 - (at - low)
        if low + 1 < old:
            matrix[place, low + 1] += at - low
    return matrix @ image @ matrix.T


def convolved(gradient: Tensor) -> Tensor:
    """With the Gaussian in one piece."""
    grid = torch.linspace(-3, 3, 15, dtype=torch.float64)
    kernel = torch.exp(-(grid[:, None] ** 2 + grid[None, :] ** 2) / 2)
    kernel = kernel / kernel.sum()
    return conv2d(gradient[None], kernel.expand(3, 1, 15, 15), padding=7, groups=3)[0]


def moved_blocks(image: Tensor, draws: Draws) -> Tensor:
    """Each block rotated by torchvision; where strips stand, of the picture mirrored at its diagonal."""
    lying = draws.uniform(1)[0] < 0.5
    mirrored = image if lying else image.mT
    strips = []
    for top, bottom in cuts(draws):
        blocks = []
        for left, right in cuts(draws):
            block = mirrored[:, top:bottom, left:right]
            degrees = 24 * (2 * float(draws.uniform(1)[0]) - 1) * (1 if lying else -1)  # counter-clockwise
            blocks.append(rotate(block, degrees, InterpolationMode.BILINEAR))
        strips.append(torch.cat(blocks, dim=2))
    moved = torch.cat(strips, dim=1)
    return moved if lying else moved.mT


def cuts(draws: Draws) -> list[tuple[int, int]]:
    """Where three pieces begin and end, in their new order."""
    first, second = (1 + place for place in sorted(draws.permutation(SIDE - 1)[:2]))
    pieces = [(0, first), (first, second), (second, SIDE)]
    return [pieces[place] for place in draws.permutation(3)]


def climbed(job: MethodJob, epsilon: int, gradient: Gradient) -> Tensor:
    """m <- m + g / mean|g|; x <- Clip(x + sign m), from the probe and from 0."""
    x, m = job.probe.clone(), torch.zeros_like(job.probe)
    for step in range(int(min(epsilon + 4, 1.25 * epsilon))):
        g = gradient(job, x, m, step)
        m = 1.0 * m + g / g.abs().mean()
        x = x + m.sign()
        x = torch.minimum(torch.maximum(x, job.probe - epsilon), job.probe + epsilon)
        x = x.clamp(0, 255)
    return x


@pytest.mark.parametrize(
    ("method", "gradient", "epsilons"),
    [
        ("mi", mi, (1, 6, 20)),
        ("ni", ni, (1, 6, 20)),
        ("di", di, (1, 6, 20)),
        ("ti", ti, (1, 6, 20)),
        ("si", si, (1, 6)),
        ("ti-di-mi", ti_di_mi, (1, 6, 20)),
        ("bsr", bsr, (1, 3)),
    ],
)
def test_a_cloak_is_what_the_equations_say_iterated(method: str, gradient: Gradient, epsilons: tuple[int, ...]) -> None:
    photo = probe(side=SIDE)
    photo[:3], photo[-3:] = 2, 254  # where the pixel range binds before the budget
    job = method_job(METHODS[method], photo, epsilons, seed=5)
    cloaks = crafted(METHODS[method], job, RECOGNIZER)
    assert [cloak.epsilon for cloak in cloaks] == list(epsilons)
    for cloak in cloaks:
        assert np.array_equal(cloak.pixels, pixels_of(climbed(job, cloak.epsilon, gradient)))


def test_a_gradient_of_zero_moves_nothing() -> None:
    zero = torch.zeros(3, 4, 4)
    assert torch.equal(unit_mean(zero), zero)


def test_a_gradient_counts_by_its_direction_however_small_it_is() -> None:
    gradient = torch.tensor([[[3.0, -1.0], [0.0, 4.0]]])
    assert unit_mean(gradient).tolist() == [[[1.5, -0.5], [0.0, 2.0]]]
    assert torch.equal(unit_mean(2.0**-80 * gradient), unit_mean(gradient))
