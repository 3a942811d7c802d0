"""Values and gradients of a method's own functions, which no source model is asked about."""

from collections.abc import Callable

import torch
from torch import Tensor


def value_and_slope(function: Callable[[Tensor], Tensor], at: Tensor) -> tuple[float, Tensor]:
    """The value of a scalar function at a point, and its gradient there, of the point's shape."""
    with torch.enable_grad():
        at = at.detach().requires_grad_(True)
        value = function(at)
        (slope,) = torch.autograd.grad(value, at)
    return float(value.detach()), slope
