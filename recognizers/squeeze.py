"""Squeeze-and-excitation with a backward pass that touches the features once."""

from typing import Any

import torch
from timm.layers import SEModule
from timm.models.senet import SEModule as LegacySEModule
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from recognizers.frozen_linear import rows_by


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
            output = output.relu_()
        ctx.adds, ctx.rectified = other is not None, rectified
        ctx.save_for_backward(features, hidden, s, w_1, w_2, output if rectified else None)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (dy,) = gradients
        features, hidden, s, w_1, w_2, output = ctx.saved_tensors
        if ctx.rectified:
            dy = torch.ops.aten.threshold_backward(dy, output, 0)
        positions = features.shape[2] * features.shape[3]
        ds = avg_pool2d(dy * features, features.shape[2:]) * positions
        d_excited = (ds * s * (1 - s)).flatten(1)  # through the sigmoid
        d_hidden = rows_by(w_2.flatten(1).t().contiguous(), d_excited) * (hidden > 0)  # through the rectifier
        dz = rows_by(w_1.flatten(1).t().contiguous(), d_hidden)[:, :, None, None]
        return torch.addcmul(dz / positions, dy, s), dy if ctx.adds else None, None, None, None, None, None
