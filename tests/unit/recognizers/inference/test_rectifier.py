"""Rectifiers give PyTorch's results, to the last bit of a number."""

import pytest
import torch
from torch import Tensor

from recognizers.inference.rectifier import rectifier_gradient, rectify_

SPECIAL = (0.0, -0.0, float("inf"), -float("inf"), 1e-40, -1e-40, 3e38, -3e38)


def features(dtype: torch.dtype, seed: int) -> Tensor:
    drawn = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(seed))
    drawn.view(-1)[: len(SPECIAL)] = torch.tensor(SPECIAL)
    return drawn.to(dtype).to(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_rectifying_is_relu(dtype: torch.dtype) -> None:
    x = features(dtype, seed=0)
    expected = x.relu()
    assert rectify_(x) is x
    assert torch.equal(x, expected)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_the_gradient_is_that_of_relu(dtype: torch.dtype, *, overwrite: bool) -> None:
    x = features(dtype, seed=0).requires_grad_(True)
    dy = features(dtype, seed=1)
    before = dy.clone()
    y = x.relu()
    (expected,) = torch.autograd.grad(y, x, dy)
    dx = rectifier_gradient(dy, y.detach(), overwrite=overwrite)
    assert torch.equal(dx, expected)
    assert (dx is dy) == overwrite
    assert overwrite or torch.equal(dy, before)
