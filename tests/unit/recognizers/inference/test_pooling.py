"""A pool of maxima that takes over the rectifier before it is the two of them, and has their gradient."""

import pytest
import torch
from torch import nn
from torch.fx import symbolic_trace

from recognizers.inference.fusing import fuse_convolutions
from recognizers.inference.pooling import PooledMaximum, can_pool
from recognizers.inference.tape import ManualBackward

POOLS = {
    "as resnets": nn.MaxPool2d(3, stride=2, ceil_mode=True),
    "padded": nn.MaxPool2d((3, 2), stride=(2, 1), padding=1),
    "dilated": nn.MaxPool2d(2, dilation=2),
    "a sample": nn.MaxPool2d(1, 2),
}


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_is_what_it_replaces_and_has_its_gradient(name: str, *, rectified: bool, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    pool = POOLS[name]
    x = torch.randn(3, 5, 9, 8).round(decimals=1).to(dtype).contiguous(memory_format=torch.channels_last)  # with ties
    seen = x.clone().requires_grad_(True)
    expected = pool(seen.relu() if rectified else seen)
    dy = torch.randn_like(expected).round(decimals=1)
    (dx,) = torch.autograd.grad(expected, seen, dy)
    masked = torch.where(expected > 0, dy, 0) if rectified else dy  # what the tape does

    layer = PooledMaximum(pool, rectified=rectified, x=x[:1].shape)
    y, record = layer.recorded(x)
    assert torch.equal(y, expected)
    assert torch.equal(layer.input_gradient(masked, record), dx)
    assert torch.equal(layer(x, dy), (pool(x) + dy).relu() if rectified else expected + dy)
    already = torch.randn_like(dx)
    kept = already.clone()
    assert torch.equal(layer.input_gradient(masked, record, onto=already), dx + kept)
    assert torch.equal(already, kept), "others may hold it"
    summed = layer.input_gradient(masked, record, onto=already, overwrite=True)
    assert summed is already
    assert torch.equal(summed, dx + kept)


def test_only_a_pool_of_maxima_without_their_places_can_be_replaced() -> None:
    assert can_pool(nn.MaxPool2d(2))
    assert not can_pool(nn.MaxPool2d(2, return_indices=True))
    assert not can_pool(nn.AvgPool2d(2))
    assert not can_pool(None)


class Stem(nn.Module):
    def __init__(self, *, shared: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution, self.rectifier, self.pool = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(3, 2)
        self.shared = shared

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.rectifier(self.convolution(images))
        pooled = self.pool(features)
        total: torch.Tensor = pooled.sum((2, 3)) + features.sum((2, 3)) if self.shared else pooled.sum((2, 3))
        return total


@pytest.mark.parametrize("shared", [False, True])
def test_a_rectifier_that_something_else_reads_stays_where_it_is(*, shared: bool) -> None:
    images = torch.randn(2, 3, 12, 12)
    plain = Stem(shared=shared).requires_grad_(False)
    seen = images.clone().requires_grad_(True)
    expected = plain(seen)
    (gradient,) = torch.autograd.grad(expected.sum(), seen)

    backbone = symbolic_trace(plain)
    fuse_convolutions(backbone, images[:1])
    layers = [module for module in backbone.modules() if isinstance(module, PooledMaximum)]
    assert [layer.rectified for layer in layers] == [not shared]
    taped = images.clone().requires_grad_(True)
    answer = ManualBackward(backbone)(taped)
    assert torch.allclose(answer, expected, rtol=1e-5, atol=1e-5)
    assert torch.allclose(torch.autograd.grad(answer.sum(), taped)[0], gradient, rtol=1e-5, atol=1e-5)
