"""Scales and slopes by channel against autograd's BatchNorm and PReLU."""

import pytest
import torch
from torch import Tensor, nn

from recognizers.inference.channels import ChannelAffine, ChannelPrelu, give_scales
from recognizers.inference.fused_layer import FusedLayer


def norm() -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(5).double().eval().requires_grad_(False)
    for tensor in (layer.weight, layer.bias, layer.running_mean):
        assert tensor is not None
        tensor.copy_(torch.randn(5))
    assert layer.running_var is not None
    layer.running_var.copy_(torch.rand(5) + 0.1)
    return layer


def prelu() -> nn.PReLU:
    layer = nn.PReLU(5).double().requires_grad_(False)
    layer.weight.copy_(torch.tensor([0.25, 0.0, 1.0, -0.5, 1.7]))
    return layer


def cases() -> list[tuple[nn.Module, FusedLayer]]:
    torch.manual_seed(0)
    affine, slopes = norm(), prelu()
    return [(affine, ChannelAffine(affine)), (slopes, ChannelPrelu(slopes))]


def inputs() -> tuple[Tensor, Tensor]:
    x = torch.randn(2, 5, 3, 4, dtype=torch.float64).to(memory_format=torch.channels_last)
    x[0, :, 0, 0] = 0  # where PReLU bends
    return x, torch.randn_like(x)


@pytest.mark.parametrize(("plain", "layer"), cases(), ids=["affine", "prelu"])
def test_values_and_gradients_are_autograds(plain: nn.Module, layer: FusedLayer) -> None:
    x, dy = inputs()
    seen = x.clone().requires_grad_(True)
    expected = plain(seen)
    (gradient,) = torch.autograd.grad(expected, seen, dy)
    y, record = layer.recorded(x)
    assert torch.allclose(y, expected, rtol=1e-12, atol=1e-12)
    assert torch.allclose(layer.input_gradient(dy, record), gradient, rtol=1e-12, atol=1e-12)
    assert torch.allclose(layer(x, dy), expected + dy, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("plain", "layer"), cases(), ids=["affine", "prelu"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_arrived_before_is_added_to(plain: nn.Module, layer: FusedLayer, overwrite: bool) -> None:
    x, dy = inputs()
    _, record = layer.recorded(x)
    alone, onto = layer.input_gradient(dy, record), torch.randn_like(dy)
    before = onto.clone()
    total = layer.input_gradient(dy, record, onto=onto, overwrite=overwrite)
    assert torch.allclose(total, alone + before, rtol=1e-12, atol=1e-12)
    assert torch.equal(onto, total if overwrite else before)


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nn.BatchNorm2d])
def test_a_norm_without_a_scale_gets_one_that_changes_nothing(kind: type[nn.BatchNorm1d | nn.BatchNorm2d]) -> None:
    layer = kind(5, affine=False).eval()
    assert layer.running_mean is not None
    layer.running_mean.copy_(torch.randn(5))
    x = torch.randn(2, 5) if kind is nn.BatchNorm1d else torch.randn(2, 5, 3, 3)
    before = layer(x)
    give_scales(layer)
    assert layer.weight.tolist() == [1.0] * 5
    assert torch.equal(layer(x), before)
