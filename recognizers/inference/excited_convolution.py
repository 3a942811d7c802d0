"""A convolution one pixel wide and the squeeze-and-excitation of its result, in fewer passes over the widest features.

Both are linear but for the excitation: the mean of W h + b is W mean(h) + b, and s W is again a matrix. So z is read off the
narrow input, and dy reaches it through weights that carry s, an image's own.
"""

import torch
from torch import Tensor, nn

from recognizers.inference.frozen_convolution import FrozenConvolution, pointwise
from recognizers.inference.frozen_linear import rows_by
from recognizers.inference.fused_layer import FusedLayer, with_arrived
from recognizers.inference.squeeze import (
    Excitation,
    across,
    outgrow_caches,
    positions_mean,
    positions_sum,
    scaled,
)


class ExcitedConvolution(FusedLayer):
    """f(x) = s (W x + b); see `SqueezeExcitation` for s, `FrozenConvolution` for the rest."""

    def __init__(
        self, convolution: nn.Conv2d, excitation: Excitation, *, rectified: bool, x: torch.Size, y: torch.Size
    ) -> None:
        """The convolution is one pixel wide; shapes as for `FrozenConvolution`."""
        super().__init__(rectified=rectified)
        self._features = FrozenConvolution(convolution, rectified=False, x=x, y=y)
        self._weight = convolution.weight.detach().flatten(1)
        self._transposed = self._weight.t().contiguous()
        self._excitation = excitation

    def recorded(self, x: Tensor, other: Tensor | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        z = rows_by(self._weight, positions_mean(x), self._features.bias)
        hidden, s = self._excitation(z)
        features = self._features(x)
        return scaled(features, s, other, rectified=self.rectified), (features, hidden, s)

    def input_gradient(
        self, dy: Tensor, record: tuple[Tensor, ...] = (), *, onto: Tensor | None = None, overwrite: bool = False
    ) -> Tensor:
        features, hidden, s = record
        dy = dy.contiguous(memory_format=torch.channels_last)
        dz = self._excitation.gradient(positions_sum(dy, features), hidden, s)
        d_mean = rows_by(self._transposed, dz) / dy.shape[2:].numel()
        dx = torch.cat(
            [
                pointwise(across(self._transposed * scales), image, constants)
                for image, scales, constants in zip(torch.split(dy, 1), s, d_mean, strict=True)
            ]
        )
        return with_arrived(dx, onto, overwrite=overwrite)


def saves_passes(convolution: nn.Conv2d, y: torch.Size) -> bool:
    """Whether an `ExcitedConvolution` of it, with a result y (N, C, H, W), reads and writes less."""
    one_wide = convolution.kernel_size == convolution.stride == (1, 1) and convolution.padding == (0, 0)
    return one_wide and outgrow_caches(y) and 16 * convolution.in_channels <= y[2] * y[3]
