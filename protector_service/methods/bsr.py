"""The block shuffle and rotation method."""

import math
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

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
    """An image (3, S, S) cut into strips, the strips into blocks, both shuffled, and each block rotated in its place.

    Whether strips lie or stand is drawn too; a block keeps its size, so that it fits wherever its strip and its place are.
    """
    along, across = (1, 2) if draws.uniform(1)[0] < 0.5 else (2, 1)
    strips = []
    for strip in _cut_and_shuffled(image, along, draws):
        blocks = [_rotated(block, _angle(draws)) for block in _cut_and_shuffled(strip, across, draws)]
        strips.append(torch.cat(blocks, dim=across))
    return torch.cat(strips, dim=along)


def _cut_and_shuffled(image: Tensor, dim: int, draws: Draws) -> list[Tensor]:
    """Three pieces of an image along an axis, of random lengths of at least one pixel, in random order."""
    side = image.shape[dim]
    cuts = sorted(1 + place for place in draws.permutation(side - 1)[: BLOCKS - 1])
    pieces = torch.tensor_split(image, cuts, dim=dim)
    return [pieces[place] for place in draws.permutation(len(pieces))]


def _angle(draws: Draws) -> float:
    """Radians, uniform within the largest angle either way."""
    return math.radians(LARGEST_ANGLE * (2 * float(draws.uniform(1)[0]) - 1))


def _rotated(block: Tensor, angle: float) -> Tensor:
    """A block (3, H, W) rotated about its centre, bilinear, with zeros where nothing is."""
    height, width = block.shape[1:]
    cosine, sine = math.cos(angle), math.sin(angle)
    # The grid runs from -1 to 1 along both axes, whatever the block's proportions.
    turn = block.new_tensor([[cosine, -sine * height / width, 0.0], [sine * width / height, cosine, 0.0]])
    grid = affine_grid(turn[None], [1, *block.shape], align_corners=False)
    return grid_sample(block[None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)[0]
