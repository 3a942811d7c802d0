"""Squeeze-and-excitation with a backward pass that touches the features once."""

from typing import Any

import torch
from timm.layers import SEModule
from timm.models.senet import SEModule as LegacySEModule
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from recognizers.frozen_linear import rows_by
from recognizers.rectifier import rectifier_gradient, rectify_


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


def share_passes(module: nn.Module) -> None:
    """Replaces every squeeze-and-excitation module of timm's in a network by ours, with its weights."""
    for name, child in module.named_children():
        if isinstance(child, SEModule | LegacySEModule):
            setattr(module, name, SqueezeExcitation(child.fc1, child.fc2))
        else:
            share_passes(child)


@torch.fx.wrap  # one node of a traced graph
def excited(
    features: Tensor,
    w_1: Tensor,
    b_1: Tensor | None,
    w_2: Tensor,
    b_2: Tensor | None,
    other: Tensor | None = None,
    rectified: bool = False,  # noqa: FBT001, FBT002 - traced by position
) -> Tensor:
    """The output s x, plus another tensor of its shape where one is given, rectified or not; the weights get no gradient."""
    output: Tensor = _Excited.apply(features, other, w_1, b_1, w_2, b_2, rectified)
    return output


class _Excited(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        other: Tensor | None,
        w_1: Tensor,
        b_1: Tensor | None,
        w_2: Tensor,
        b_2: Tensor | None,
        rectified: bool,  # noqa: FBT001 - apply takes no keywords
    ) -> Tensor:
        z = avg_pool2d(features, features.shape[2:]).flatten(1)  # several times faster than mean() in this layout
        hidden = rows_by(w_1.flatten(1), z, b_1).relu_()
        s = rows_by(w_2.flatten(1), hidden, b_2).sigmoid_()[:, :, None, None]
        output = features * s if other is None else torch.addcmul(other, features, s)
        if rectified:
            output = rectify_(output)
        ctx.adds, ctx.rectified = other is not None, rectified
        ctx.save_for_backward(features, hidden, s, w_1, w_2, output if rectified else None)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (dy,) = gradients
        features, hidden, s, w_1, w_2, output = ctx.saved_tensors
        if ctx.rectified:
            dy = rectifier_gradient(dy, output)
        positions = features.shape[2] * features.shape[3]
        ds = _products_summed(dy, features)[:, :, None, None]
        d_excited = (ds * s * (1 - s)).flatten(1)  # through the sigmoid
        d_hidden = rows_by(w_2.flatten(1).t().contiguous(), d_excited) * (hidden > 0)  # through the rectifier
        dz = rows_by(w_1.flatten(1).t().contiguous(), d_hidden)[:, :, None, None]
        return torch.addcmul(dz / positions, dy, s), dy if ctx.adds else None, None, None, None, None, None


def _products_summed(one: Tensor, other: Tensor) -> Tensor:
    """The sum over positions of the products of two features (N, C, H, W), by image and channel (N, C).

    On a CPU it is read off BatchNorm's backward pass, whose gradient of the scale is this sum: of one image, with mean 0 and
    variance 1. It reads both once and writes no products.
    """
    if one.device.type != "cpu":
        return (one * other).sum((2, 3))
    channels = one.shape[1]
    dtype = torch.float32 if one.dtype is torch.bfloat16 else one.dtype  # bfloat16 is summed in float32
    zero, unit = torch.zeros(channels, dtype=dtype), torch.ones(channels, dtype=dtype)
    sums = [
        torch.ops.aten.native_batch_norm_backward(
            dy[None], x[None], unit, zero, unit, None, None, False, 0.0, [False, True, False]
        )[1]
        for dy, x in zip(one, other, strict=True)
    ]
    return torch.stack(sums).to(one.dtype)
