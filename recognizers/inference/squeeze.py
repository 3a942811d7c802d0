"""Squeeze-and-excitation with a backward pass that touches the features once."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import avg_pool2d

from recognizers.inference.frozen_linear import rows_by
from recognizers.inference.fused_layer import FusedLayer, with_arrived
from recognizers.inference.rectifier import rectify_
from recognizers.networks.compact.residual import SqueezeExcite

_IN_CACHES = 2**17  # numbers, measured (docs/performance.md)


class SqueezeExcitation(nn.Module):
    """Hu et al. 2018, Eqs. 2 to 4: z = mean over positions of x, s = sigmoid(W_2 relu(W_1 z)), output s x.

    x reaches the output twice, through s and as itself; autograd makes a gradient of full size for each and adds them,
    which takes longer than the convolutions around. Here one pass gives both: dx = s dy + dz / positions.
    """

    def __init__(self, squeeze: nn.Conv2d, excite: nn.Conv2d) -> None:
        super().__init__()
        self.squeeze = squeeze
        self.excite = excite

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, C, H, W) to features of that shape."""
        return excited(features, self.squeeze.weight, self.squeeze.bias, self.excite.weight, self.excite.bias)


def replace_se_modules(module: nn.Module) -> None:
    """Replaces squeeze-and-excitation modules in a network by ours, with their weights; not variants of it."""
    child: Any
    for name, child in module.named_children():
        if isinstance(child, SqueezeExcite) or _is_timms(child):
            setattr(module, name, SqueezeExcitation(child.fc1, child.fc2))
        else:
            replace_se_modules(child)


def _is_timms(module: Any) -> bool:
    """Told by name: timm takes seconds to import, and where a network has a module of it, that has imported it."""
    kind = f"{type(module).__module__}.{type(module).__name__}"
    if kind == "timm.layers.squeeze_excite.SEModule":
        return (
            isinstance(module.act, nn.ReLU)
            and type(module.gate).__name__ == "Sigmoid"
            and isinstance(module.bn, nn.Identity)
            and not module.add_maxpool
        )
    return kind == "timm.models.senet.SEModule"


@torch.fx.wrap  # one node of a traced graph
def excited(features: Tensor, w_1: Tensor, b_1: Tensor | None, w_2: Tensor, b_2: Tensor | None) -> Tensor:
    """The output s x; the weights get no gradient."""
    output: Tensor = _Excited.apply(features, ExcitedFeatures(Excitation(w_1, b_1, w_2, b_2), rectified=False))
    return output


class _Excited(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, layer: "ExcitedFeatures") -> Tensor:
        output, record = layer.recorded(features)
        ctx.layer = layer
        ctx.save_for_backward(*record)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (dy,) = gradients
        return ctx.layer.input_gradient(dy, ctx.saved_tensors), None


class ExcitedFeatures(FusedLayer):
    """f(x) = s x; see `SqueezeExcitation`."""

    def __init__(self, excitation: "Excitation", *, rectified: bool) -> None:
        super().__init__(rectified=rectified)
        self._excitation = excitation

    def recorded(self, x: Tensor, other: Tensor | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        hidden, s = self._excitation(positions_mean(x))
        return scaled(x, s, other, rectified=self.rectified), (x, hidden, s)

    def input_gradient(
        self, dy: Tensor, record: tuple[Tensor, ...] = (), *, onto: Tensor | None = None, overwrite: bool = False
    ) -> Tensor:
        x, hidden, s = record
        dz = self._excitation.gradient(positions_sum(dy, x), hidden, s)
        dx = torch.addcmul(across(dz / x.shape[2:].numel()), dy, across(s))
        return with_arrived(dx, onto, overwrite=overwrite)


@dataclass(frozen=True)
class Excitation:
    """s = sigmoid(W_2 relu(W_1 z + b_1) + b_2)."""

    w_1: Tensor
    b_1: Tensor | None
    w_2: Tensor
    b_2: Tensor | None

    def __call__(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The hidden layer (N, C / r) and s (N, C) of z (N, C)."""
        hidden = rows_by(self.w_1.flatten(1), z, self.b_1).relu_()
        return hidden, rows_by(self.w_2.flatten(1), hidden, self.b_2).sigmoid_()

    def gradient(self, ds: Tensor, hidden: Tensor, s: Tensor) -> Tensor:
        """Dz (N, C) from ds (N, C)."""
        d_excited = ds * s * (1 - s)  # through the sigmoid
        d_hidden = rows_by(self.w_2.flatten(1).t().contiguous(), d_excited) * (hidden > 0)  # through the rectifier
        return rows_by(self.w_1.flatten(1).t().contiguous(), d_hidden)


def scaled(features: Tensor, s: Tensor, other: Tensor | None, *, rectified: bool) -> Tensor:
    """Features (N, C, H, W) times s (N, C), plus another tensor of their shape where one is given, rectified or not."""
    output = features * across(s) if other is None else torch.addcmul(other, features, across(s))
    return rectify_(output) if rectified else output


def across(rows: Tensor) -> Tensor:
    """(N, C) as (N, C, 1, 1), the same at every position."""
    return rows[:, :, None, None]


def positions_mean(features: Tensor) -> Tensor:
    """The mean over positions of features (N, C, H, W), by image and channel (N, C)."""
    return avg_pool2d(features, features.shape[2:]).flatten(1)  # several times faster than mean() in this layout


def positions_sum(one: Tensor, other: Tensor) -> Tensor:
    """The sum over positions of the products of two features (N, C, H, W), by image and channel (N, C).

    On a CPU, where features outgrow its caches, it is read off BatchNorm's backward pass: the gradient of the scale, of one
    image with mean 0 and variance 1. That reads both once, and writes no products.
    """
    if one.device.type != "cpu" or not outgrow_caches(one.shape):
        return positions_mean(one * other) * one.shape[2:].numel()
    channels = one.shape[1]
    dtype = torch.float32 if one.dtype is torch.bfloat16 else one.dtype
    zero, unit = torch.zeros(channels, dtype=dtype), torch.ones(channels, dtype=dtype)
    scale_alone = [False, True, False]
    gradient = torch.ops.aten.native_batch_norm_backward
    sums = [
        gradient(dy, x, unit, zero, unit, None, None, False, 0.0, scale_alone)[1]
        for dy, x in zip(torch.split(one, 1), torch.split(other, 1), strict=True)
    ]
    return torch.stack(sums).to(one.dtype)


def outgrow_caches(features: torch.Size) -> bool:
    """Whether passes over features (N, C, H, W) are worth sparing: an image's do not stay in the caches of a core."""
    _, channels, height, width = features
    return channels * height * width > _IN_CACHES
