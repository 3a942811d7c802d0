"""Matrix products by weights that will not change again, whose rows depend on neither their place nor their neighbours.

The library that PyTorch multiplies small matrices with on a CPU (MKL) rounds a row otherwise at an odd place than at an even
one, for some shapes on some processors, and a cloak must not depend on which place of a batch it was stepped in. oneDNN's
products do not differ, and large ones are faster by half.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

from recognizers.inference.frozen_convolution import runs_frozen


def rows_by(weight: Tensor, rows: Tensor, bias: Tensor | None = None) -> Tensor:
    """W x + b for each row x: rows (N, K) by weight (M, K) to (N, M). Autograd knows nothing of it."""
    if rows.device.type == "cpu" and rows.dtype in (torch.float32, torch.bfloat16) and runs_frozen(rows.dtype):
        product: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")
        return product
    return linear(rows, weight, bias)


class FrozenLinear(nn.Module):
    """A linear layer, differentiable in its input alone."""

    transposed: Tensor

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight = layer.weight
        self.bias = layer.bias
        self.register_buffer("transposed", layer.weight.detach().t().contiguous(), persistent=False)

    def forward(self, rows: Tensor) -> Tensor:
        """Rows (N, K) to (N, M)."""
        output: Tensor = _Linear.apply(rows, self.weight, self.transposed, self.bias)
        return output


def freeze_linears(module: nn.Module) -> None:
    """Replaces every linear layer in a module by a `FrozenLinear` with its weights."""
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, FrozenLinear(child))
        else:
            freeze_linears(child)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, transposed: Tensor, bias: Tensor | None) -> Tensor:
        ctx.transposed = transposed
        return rows_by(weight, rows, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (dy,) = gradients
        return rows_by(ctx.transposed, dy.contiguous()), None, None, None
