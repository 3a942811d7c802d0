"""Resampling as a linear map of an image, with the adjoint that takes gradients back.

The matrix along an axis is that of Pillow's antialiased bilinear resize, by which faces are cropped, and which PyTorch has
too; but in real numbers: Pillow rounds to whole levels after each axis.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

BAND = 256  # pixels that a block of a matrix spans, about: a side below that of two is multiplied whole


def resampling_matrix(side: int, *, to: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The matrix (to, side) of bilinear resampling along one axis, antialiased where it makes an image smaller.

    A triangle around the centre of each output pixel, as high as 1 and as wide as two pixels, of the output where that has
    fewer and else of the input; cut off at the edges, and scaled so that rows sum to 1.
    """
    scale = side / to
    reach = max(scale, 1)
    pixels, centres = np.arange(side), scale * (np.arange(to) + 0.5)[:, None]
    within = (np.floor(centres - reach + 0.5) <= pixels) & (pixels < np.floor(centres + reach + 0.5))
    # Computed in PyTorch's order, so that even what is but a rounding error, at a corner of the triangle, is the same.
    weights = np.where(within, 1 - np.abs((pixels - centres + 0.5) * (1 / reach)), 0).clip(min=0)
    return torch.from_numpy(weights / weights.sum(axis=1, keepdims=True)).to(device=device, dtype=dtype)


@dataclass(frozen=True)
class Banded:
    """A matrix whose nonzero elements lie along its diagonal, as blocks of whole rows."""

    blocks: tuple[tuple[int, Tensor], ...]  # the first column of each, and its elements

    @classmethod
    def of(cls, matrix: Tensor) -> Self:
        """A matrix, in as many blocks as pay: what lies between them is zero, and costs nothing."""
        number = max(1, max(matrix.shape) // BAND)
        if number == 1:
            return cls(((0, matrix),))
        return cls(tuple(_without_zeros(rows) for rows in matrix.tensor_split(number) if len(rows)))

    def down(self, x: Tensor) -> Tensor:
        """The product with each column of an image (3, H, W)."""
        products = [block @ x[:, first : first + block.shape[1]] for first, block in self.blocks]
        return products[0] if len(products) == 1 else torch.cat(products, dim=1)

    def across(self, x: Tensor) -> Tensor:
        """The product with each row of an image (3, H, W)."""
        products = [x[:, :, first : first + block.shape[1]] @ block.T for first, block in self.blocks]
        return products[0] if len(products) == 1 else torch.cat(products, dim=2)


def _without_zeros(rows: Tensor) -> tuple[int, Tensor]:
    """The first column with an element, and all up to the last one."""
    columns = rows.sum(dim=0).nonzero().flatten()  # none is negative
    first, last = int(columns[0]), int(columns[-1])
    return first, rows[:, first : last + 1].contiguous()


class Resampling:
    """R x C^T in each channel: an image (3, H, W) at another size (3, s, s)."""

    def __init__(self, shape: Sequence[int], *, to: int, device: torch.device, dtype: torch.dtype) -> None:
        """`shape`: (H, W)."""
        rows, columns = (resampling_matrix(side, to=to, device=device, dtype=dtype) for side in shape)
        self._rows, self._columns = Banded.of(rows), Banded.of(columns)
        self._rows_back, self._columns_back = Banded.of(rows.T), Banded.of(columns.T)

    def image(self, x: Tensor) -> Tensor:
        """An image (3, H, W) at the other size, (3, s, s): real numbers."""
        return self._columns.across(self._rows.down(x))

    def pull_back(self, gradient: Tensor) -> Tensor:
        """The adjoint: from a gradient (3, s, s) in the resampled image to one (3, H, W) in the image."""
        return self._rows_back.down(self._columns_back.across(gradient))
