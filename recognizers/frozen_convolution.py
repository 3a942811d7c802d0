"""Convolutions whose weights will not change again: what can be done once for them, is.

oneDNN, through the operators that PyTorch's own compiler emits, adds and rectifies while a convolution's result is still in
the cache; and the gradient of an unstrided convolution is a convolution with mirrored weights, which runs faster as such.
Both hold their weights in the layout that the processor multiplies. The sums are the same; their rounding may not be.
"""

from typing import Any

import torch
from torch import Tensor, nn


class FrozenConvolution(nn.Module):
    """y = W x + b, plus another tensor where one is given, rectified or not.

    CPU, float32 or bfloat16, one group, undilated. Neither weights nor bias get a gradient.
    """

    def __init__(self, convolution: nn.Conv2d, *, rectified: bool, x: torch.Size, y: torch.Size) -> None:
        """`x` and `y` are the shapes (N, C, H, W) that the weights are laid out for; another N does as well."""
        super().__init__()
        assert isinstance(convolution.padding, tuple)
        self.rectified = rectified
        self.bias = convolution.bias
        self._weight = convolution.weight
        self._geometry = (convolution.stride, convolution.padding)
        self._forward = _LaidOut(convolution.weight, convolution.stride, convolution.padding, x)
        self._backward = _mirrored(convolution, y)

    def forward(self, features: Tensor, other: Tensor | None = None) -> Tensor:
        """Features (N, C, H, W) to (N, C', H', W'); `other` has the shape of the result."""
        output: Tensor = _Convolved.apply(features, other, self)
        return output

    def convolve(self, features: Tensor, other: Tensor | None) -> Tensor:
        """The forward pass alone."""
        return self._forward(features, self.bias, other=other, rectified=self.rectified)

    def input_gradient(self, dy: Tensor, shape: torch.Size) -> Tensor:
        """Dx of `shape` from dy, the rectifier's part being done."""
        dy = dy.contiguous(memory_format=torch.channels_last)
        if self._backward is not None:
            return self._backward(dy, None)
        unread = torch.empty(shape, dtype=dy.dtype, memory_format=torch.channels_last)  # only its shape and layout matter
        stride, padding = self._geometry
        dx: Tensor = torch.ops.aten.convolution_backward(
            dy, unread, self._weight, None, stride, padding, (1, 1), False, (0, 0), 1, (True, False, False)
        )[0]
        return dx


class _LaidOut:
    """A convolution with its weights in oneDNN's own layout."""

    def __init__(self, weight: Tensor, stride: tuple[int, ...], padding: tuple[int, ...], x: torch.Size) -> None:
        self._stride, self._padding = stride, padding
        lay_out = torch.ops.mkldnn._reorder_convolution_weight
        self._weight = lay_out(weight.detach(), padding, stride, (1, 1), 1, x)

    def __call__(self, x: Tensor, bias: Tensor | None, *, other: Tensor | None = None, rectified: bool = False) -> Tensor:
        geometry = (self._weight, bias, self._padding, self._stride, (1, 1), 1)
        convolution = torch.ops.mkldnn._convolution_pointwise
        rectifier = "relu" if rectified else "none"
        output: Tensor
        if other is None:
            output = convolution(x, *geometry, rectifier, [], "")
        else:
            output = convolution.binary(x, other, *geometry, "add", 1.0, "relu" if rectified else None, [], None)
        return output


def _mirrored(convolution: nn.Conv2d, y: torch.Size) -> _LaidOut | None:
    """The convolution that takes dy to dx; None where a stride leaves gaps."""
    if convolution.stride != (1, 1):
        return None
    assert isinstance(convolution.padding, tuple)
    weight = convolution.weight.flip(2, 3).transpose(0, 1).contiguous(memory_format=torch.channels_last)
    padding = tuple(size - 1 - edge for size, edge in zip(convolution.kernel_size, convolution.padding, strict=True))
    return _LaidOut(weight, (1, 1), padding, y)


class _Convolved(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, other: Tensor | None, convolution: FrozenConvolution) -> Tensor:
        output = convolution.convolve(features, other)
        ctx.convolution, ctx.shape, ctx.adds = convolution, features.shape, other is not None
        if convolution.rectified:
            ctx.save_for_backward(output)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (dy,) = gradients
        if ctx.convolution.rectified:
            dy = torch.ops.aten.threshold_backward(dy, ctx.saved_tensors[0], 0)
        return ctx.convolution.input_gradient(dy, ctx.shape), dy if ctx.adds else None, None
