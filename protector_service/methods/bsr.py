"""The block shuffle and rotation method."""

import math
from collections.abc import Sequence
from functools import partial
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protector_service.methods.asks import Asking
from protector_service.methods.draws import Draws
from protector_service.methods.method import MethodJob, stated
from protector_service.methods.mi import MomentumIterativeMethod
from protector_service.methods.trajectory import Point
from protector_service.methods.transforms import mean_gradient

COPIES = 20
TOGETHER = 4  # copies asked for at a time: each is an image in memory
BLOCKS = 3  # a side
LARGEST_ANGLE = 24.0  # degrees

Sources: TypeAlias = tuple[NDArray[np.int64], NDArray[np.float64]]
"""The four pixels that each of an image's is mixed from, by their numbers, and the share of each: (2, 2, H, W) both."""


class BlockShuffleRotationMethod(MomentumIterativeMethod):
    """BSR (Wang et al. 2024, section 3.3): `mi` along the mean gradient over copies with blocks shuffled and rotated."""

    name = "bsr"
    description = "Block shuffle and rotation: the momentum iterative method over images with blocks moved, untargeted."
    gradients_per_step = COPIES

    @stated(transform="20 copies of 3 x 3 blocks at random cuts, shuffled, each rotated by at most 24 degrees")
    def gradient(self, job: MethodJob, at: Point) -> Asking[Tensor]:
        def transform(image: Tensor, copy: int) -> Tensor:
            return shuffled(image, draws=job.draws(step=at.step, copy=copy))

        transforms = [partial(transform, copy=copy) for copy in range(COPIES)]
        total = torch.zeros_like(at.x)
        for first in range(0, COPIES, TOGETHER):
            total += yield from mean_gradient(at.x, transforms[first : first + TOGETHER], job.y_true)
        return total / (COPIES / TOGETHER)


def shuffled(image: Tensor, *, draws: Draws) -> Tensor:
    """An image (3, H, W) cut into strips, the strips into blocks, both shuffled, and each block rotated in its place.

    Whether strips lie or stand is drawn too; a block keeps its size, so that it fits wherever its strip and its place are.
    """
    along, across = (0, 1) if draws.uniform(1)[0] < 0.5 else (1, 0)
    pixels = np.arange(image[0].numel()).reshape(image.shape[1:])
    strips = []
    for strip in _cut_and_shuffled(pixels, along, draws):
        blocks = [_rotated(block, _angle(draws)) for block in _cut_and_shuffled(strip, across, draws)]
        strips.append(_joined(blocks, across))
    return _sampled(image, *_joined(strips, along))


def _cut_and_shuffled(pixels: NDArray[np.int64], axis: int, draws: Draws) -> list[NDArray[np.int64]]:
    """Three pieces of an image along an axis, of random lengths of at least one pixel, in random order."""
    side = pixels.shape[axis]
    cuts = sorted(1 + place for place in draws.permutation(side - 1)[: BLOCKS - 1])
    pieces = np.split(pixels, cuts, axis=axis)
    return [pieces[place] for place in draws.permutation(len(pieces))]


def _angle(draws: Draws) -> float:
    """Radians, uniform within the largest angle either way."""
    return math.radians(LARGEST_ANGLE * (2 * float(draws.uniform(1)[0]) - 1))


def _rotated(block: NDArray[np.int64], angle: float) -> Sources:
    """A block (H, W) of pixels rotated about its centre, bilinear, with zeros where nothing is."""
    height, width = block.shape
    cosine, sine = math.cos(angle), math.sin(angle)
    down, right = np.arange(height)[:, None] - (height - 1) / 2, np.arange(width) - (width - 1) / 2
    rows, row_shares = _neighbours(sine * right + cosine * down + (height - 1) / 2, height)
    columns, column_shares = _neighbours(cosine * right - sine * down + (width - 1) / 2, width)
    return block[rows[:, None], columns], row_shares[:, None] * column_shares


def _neighbours(at: NDArray[np.float64], count: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The two of `count` lines between which each point (H, W) lies, and the shares of each: (2, H, W)."""
    lower = np.floor(at).astype(np.int64)
    lines = np.stack([lower, lower + 1])
    shares = np.stack([lower + 1 - at, at - lower])
    shares[(lines < 0) | (lines >= count)] = 0
    return lines.clip(0, count - 1), shares


def _joined(parts: Sequence[Sources], axis: int) -> Sources:
    """Parts of an image side by side, along its rows or its columns."""
    pixels, shares = zip(*parts, strict=True)
    return np.concatenate(pixels, axis=2 + axis), np.concatenate(shares, axis=2 + axis)


def _sampled(image: Tensor, pixels: NDArray[np.int64], shares: NDArray[np.float64]) -> Tensor:
    """An image (3, H, W) mixed of the pixels of another.

    Its adjoint adds in a fixed order on a GPU too, which that of PyTorch's `grid_sample` does not.
    """
    neighbours = image.flatten(1)[:, torch.from_numpy(pixels).to(image.device)]
    return (neighbours * torch.from_numpy(shares).to(image)).sum((1, 2))
