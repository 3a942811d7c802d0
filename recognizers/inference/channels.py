"""What networks for faces do to each channel between their convolutions, with gradients of its input alone.

Autograd's backward passes of BatchNorm and PReLU make gradients of weights, too, and take several times as long.
"""

import torch
from torch import Tensor, nn

from recognizers.inference.fused_layer import FusedLayer, with_arrived
from recognizers.inference.rectifier import rectifier_gradient

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d


class ChannelAffine(FusedLayer):
    """f(x) = s x + t by channel: a BatchNorm in evaluation mode that no convolution before it can take over."""

    scale: Tensor
    shift: Tensor

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__(rectified=False)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        self.register_buffer("scale", _across(scale), persistent=False)
        self.register_buffer("shift", _across(norm.bias - scale * norm.running_mean), persistent=False)

    def recorded(self, x: Tensor, other: Tensor | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        y = torch.addcmul(self.shift, x, self.scale)
        return y if other is None else y + other, ()

    def input_gradient(
        self, dy: Tensor, record: tuple[Tensor, ...] = (), *, onto: Tensor | None = None, overwrite: bool = False
    ) -> Tensor:
        if onto is None:
            return dy * self.scale
        return onto.addcmul_(dy, self.scale) if overwrite else torch.addcmul(onto, dy, self.scale)


class ChannelPrelu(FusedLayer):
    """f(x) = x where it is above zero, else a slope by channel times x (He et al. 2015)."""

    slope: Tensor

    def __init__(self, prelu: nn.PReLU) -> None:
        super().__init__(rectified=False)
        self.register_buffer("slope", _across(prelu.weight), persistent=False)

    def recorded(self, x: Tensor, other: Tensor | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        y = nn.functional.prelu(x, self.slope.flatten())
        return y if other is None else y + other, (x,)

    def input_gradient(
        self, dy: Tensor, record: tuple[Tensor, ...] = (), *, onto: Tensor | None = None, overwrite: bool = False
    ) -> Tensor:
        (x,) = record
        dx = torch.lerp(rectifier_gradient(dy, x), dy, self.slope)
        return with_arrived(dx, onto, overwrite=overwrite)


def give_scales(module: nn.Module) -> None:
    """Every BatchNorm that has neither a scale nor a shift gets them, 1 and 0: only so can it be folded."""
    for each in module.modules():
        if isinstance(each, BatchNorm) and each.weight is None and each.running_var is not None:
            each.weight = nn.Parameter(torch.ones_like(each.running_var), requires_grad=False)
            each.bias = nn.Parameter(torch.zeros_like(each.running_var), requires_grad=False)


def _across(channels: Tensor) -> Tensor:
    """(C,) as (C, 1, 1), the same at every position."""
    return channels.detach()[:, None, None].clone()
