"""Maximum pooling that takes over the rectifier before it.

max and relu may change places: max over a window of relu(x) is relu of the maximum of x, and a maximum that is not above
zero has no gradient either way. Rectified last, there are fewer numbers to pass over, forwards and backwards.
"""

from typing import TypeGuard

import torch
from torch import Tensor, nn

from recognizers.inference.fused_layer import FusedLayer, with_arrived
from recognizers.inference.rectifier import rectify_


def can_pool(module: nn.Module | None) -> TypeGuard[nn.MaxPool2d]:
    """Whether a `PooledMaximum` can stand for a module."""
    return isinstance(module, nn.MaxPool2d) and not module.return_indices


class PooledMaximum(FusedLayer):
    """f(x) = the maximum of x in each window, for a pool that `can_pool`."""

    def __init__(self, pool: nn.MaxPool2d, *, rectified: bool, x: torch.Size) -> None:
        """`x` is the shape (N, C, H, W) of what is pooled; another N does as well."""
        super().__init__(rectified=rectified)
        self._windows = (pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode)
        self._x = x[1:]

    def recorded(self, x: Tensor, other: Tensor | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        y, places = torch.ops.aten.max_pool2d_with_indices(x, *self._windows)
        y = y if other is None else y + other
        return rectify_(y) if self.rectified else y, (places,)

    def input_gradient(
        self, dy: Tensor, record: tuple[Tensor, ...] = (), *, onto: Tensor | None = None, overwrite: bool = False
    ) -> Tensor:
        (places,) = record
        # Of x only the shape and the layout are read, so that x need not be kept.
        x = torch.empty((len(dy), *self._x), dtype=dy.dtype, device=dy.device, memory_format=torch.channels_last)
        dx: Tensor = torch.ops.aten.max_pool2d_with_indices_backward(dy, x, *self._windows, places)
        return with_arrived(dx, onto, overwrite=overwrite)
