"""Convolutions whose weights will not change again: what can be done once for them, is.

oneDNN, through the operators that PyTorch's own compiler emits, adds and rectifies while a convolution's result is still in
the cache. The gradient of a convolution is an unstrided convolution, with mirrored weights, and runs faster as such:
its result is dx, or dx's samples at each offset of the stride (Shi et al. 2016). Weights are held in the layout that the
processor multiplies. The sums are the same; their rounding may not be.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from recognizers.inference.fused_layer import FusedLayer


def runs_frozen(dtype: torch.dtype) -> bool:
    """Whether this processor, and this build of PyTorch, have the operators that `FrozenConvolution` is made of."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return dtype is torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def can_freeze(convolution: nn.Conv2d) -> bool:
    """Whether a `FrozenConvolution` can stand for it: one group, undilated, equal strides, padded with few zeros."""
    return (
        convolution.groups == 1
        and convolution.dilation == (1, 1)
        and convolution.stride[0] == convolution.stride[1]
        and convolution.padding_mode == "zeros"
        and isinstance(convolution.padding, tuple)
        and all(edge < size for edge, size in zip(convolution.padding, convolution.kernel_size, strict=True))
    )


class FrozenConvolution(FusedLayer):
    """f(x) = W x + b, for a convolution that `can_freeze`; on a CPU, in float32 or bfloat16."""

    def __init__(self, convolution: nn.Conv2d, *, rectified: bool, x: torch.Size, y: torch.Size) -> None:
        """`x` and `y` are the shapes (N, C, H, W) that the weights are laid out for; another N does as well."""
        super().__init__(rectified=rectified)
        assert can_freeze(convolution)
        assert isinstance(convolution.padding, tuple)
        self.bias = convolution.bias
        self._y_from_x = _LaidOut(convolution.weight, x, stride=convolution.stride, padding=convolution.padding)
        self._dx_from_dy = _gradient(convolution, x, y)

    def recorded(self, x: Tensor, other: Tensor | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        return self._y_from_x(x, self.bias, other=other, rectified=self.rectified), ()

    def input_gradient(
        self,
        dy: Tensor,
        record: tuple[Tensor, ...] = (),
        *,
        onto: Tensor | None = None,
        overwrite: bool = False,
    ) -> Tensor:
        return self._dx_from_dy(dy.contiguous(memory_format=torch.channels_last), onto, overwrite)


def pointwise(weight: Tensor, x: Tensor, bias: Tensor) -> Tensor:
    """W x + b at every position of x (N, C, H, W), for a weight (C', C, 1, 1) that is used once."""
    y: Tensor = torch.ops.mkldnn._convolution_pointwise(x, weight, bias, (0, 0), (1, 1), (1, 1), 1, "none", [], "")
    return y


class _LaidOut:
    """A convolution with its weights in oneDNN's own layout."""

    def __init__(self, weight: Tensor, x: torch.Size, *, stride: tuple[int, ...], padding: tuple[int, ...]) -> None:
        self._stride, self._padding = stride, padding
        lay_out = torch.ops.mkldnn._reorder_convolution_weight
        self._weight = lay_out(weight.detach().contiguous(memory_format=torch.channels_last), padding, stride, (1, 1), 1, x)

    def __call__(self, x: Tensor, bias: Tensor | None, *, other: Tensor | None = None, rectified: bool = False) -> Tensor:
        geometry = (self._weight, bias, self._padding, self._stride, (1, 1), 1)
        convolution = torch.ops.mkldnn._convolution_pointwise
        output: Tensor
        if other is None:
            output = convolution(x, *geometry, "relu" if rectified else "none", [], "")
        else:
            output = convolution.binary(x, other, *geometry, "add", 1.0, "relu" if rectified else None, [], None)
        return output

    def add_to(self, sum_: Tensor, x: Tensor) -> Tensor:
        """Adds the convolution of x to a tensor in its place."""
        geometry = (self._weight, None, self._padding, self._stride, (1, 1), 1)
        torch.ops.mkldnn._convolution_pointwise_.binary(sum_, x, *geometry, "add", 1.0, None, [], None)
        return sum_


def _gradient(
    convolution: nn.Conv2d, x: torch.Size, y: torch.Size
) -> Callable[[Tensor, Tensor | None, bool], Tensor]:  # of dy, `onto` and `overwrite`
    if convolution.stride == (1, 1):
        return _Mirrored(convolution, y)
    if convolution.kernel_size == (1, 1) and convolution.padding == (0, 0):
        return _Scattered(convolution, x, y)
    return _Shuffled(convolution, x, y)


class _Mirrored:
    """Without a stride: dx is the convolution of dy with the weights mirrored and transposed."""

    def __init__(self, convolution: nn.Conv2d, y: torch.Size) -> None:
        assert isinstance(convolution.padding, tuple)
        padding = tuple(size - 1 - edge for size, edge in zip(convolution.kernel_size, convolution.padding, strict=True))
        self._convolution = _LaidOut(convolution.weight.flip(2, 3).transpose(0, 1), y, stride=(1, 1), padding=padding)

    def __call__(self, dy: Tensor, onto: Tensor | None, overwrite: bool, /) -> Tensor:  # noqa: FBT001
        if onto is not None and overwrite:
            return self._convolution.add_to(onto, dy)
        return self._convolution(dy, None, other=onto)


class _Scattered:
    """One pixel wide, with a stride: dx is zero but where y was taken from."""

    def __init__(self, convolution: nn.Conv2d, x: torch.Size, y: torch.Size) -> None:
        self._height, self._width = x[2:]
        self._down, self._across = convolution.stride
        self._convolution = _LaidOut(convolution.weight.transpose(0, 1), y, stride=(1, 1), padding=(0, 0))

    def __call__(self, dy: Tensor, onto: Tensor | None, overwrite: bool, /) -> Tensor:  # noqa: FBT001
        taken = self._convolution(dy, None)
        shape = (*taken.shape[:2], self._height, self._width)
        if onto is None:
            dx = torch.empty(shape, dtype=dy.dtype, memory_format=torch.channels_last).zero_()
        else:
            dx = onto if overwrite else onto.clone()
        dx[:, :, :: self._down, :: self._across] += taken
        return dx


class _Shuffled:
    """With a stride s: dx at s q + r, for each offset r < s, is a convolution of dy of its own; then they are interleaved.

    The samples of the s x s offsets come as so many channels, in the order of pixels, so that whole runs of them are copied.

    From y_i = sum_k w_k x_(s i + k - p) follows dx_(s q + r) = sum_t w_(s t + r + p) dy_(q - t).
    """

    def __init__(self, convolution: nn.Conv2d, x: torch.Size, y: torch.Size) -> None:
        assert isinstance(convolution.padding, tuple)
        self._stride = stride = convolution.stride[0]
        self._size = x[2:]
        weight = convolution.weight.detach()
        first, padding, starts = [], [], []
        for axis in (0, 1):
            size, edge = convolution.kernel_size[axis], convolution.padding[axis]
            least, most = -((edge + stride - 1) // stride), (size - 1 - edge) // stride  # the range of t
            # Weights from k = s least + p on, in whole groups of s; those outside the kernel are zero.
            front, back = -(stride * least + edge), stride * (most + 1) + edge - size
            weight = pad(weight, (0, 0, front, back) if axis == 0 else (front, back))
            samples = -(-self._size[axis] // stride)
            before, after = most, max(0, samples - y[2 + axis] - least)
            first.append(max(before, after) - before)
            padding.append(max(before, after))
            starts.append(samples)
        self._first, self._samples = first, starts
        out, channels, height, width = weight.shape
        taps = weight.reshape(out, channels, height // stride, stride, width // stride, stride)
        mirrored = (
            taps.flip(2, 4).permute(3, 5, 1, 0, 2, 4).reshape(stride**2 * channels, out, height // stride, width // stride)
        )
        self._convolution = _LaidOut(mirrored, y, stride=(1, 1), padding=tuple(padding))

    def __call__(self, dy: Tensor, onto: Tensor | None, overwrite: bool, /) -> Tensor:  # noqa: FBT001 - dx is new
        samples = self._convolution(dy, None)
        (top, left), (down, across) = self._first, self._samples
        samples = samples[:, :, top : top + down, left : left + across].permute(0, 2, 3, 1)
        by_rows = samples.view(*samples.shape[:3], self._stride, -1).transpose(2, 3)  # (N, H / s, s, W / s, s C)
        dx = by_rows.reshape(len(dy), down * self._stride, across * self._stride, -1).permute(0, 3, 1, 2)
        dx = dx[:, :, : self._size[0], : self._size[1]].contiguous(memory_format=torch.channels_last)
        return dx if onto is None else dx.add_(onto)
