"""Squeeze-and-excitation with a backward pass of its own."""

from typing import Any

import pytest
import torch
from torch import nn

from recognizers.inference.squeeze import (
    Excitation,
    ExcitedFeatures,
    SqueezeExcitation,
    excited,
    outgrow_caches,
    positions_sum,
    replace_se_modules,
)
from tests.support.networks import se_module

SMALL, LARGE = (2, 8, 5, 5), (2, 8, 130, 130)


def test_the_sizes_below_are_on_both_sides_of_what_caches_hold() -> None:
    assert not outgrow_caches(torch.Size(SMALL))
    assert outgrow_caches(torch.Size(LARGE))


@pytest.mark.parametrize("shape", [SMALL, LARGE])
def test_squeeze_and_excitation_has_the_gradient_that_autograd_finds(shape: tuple[int, ...]) -> None:
    module, x = excitation_module(), features(shape).requires_grad_(True)
    expected = module(x)
    dy = torch.randn_like(expected)
    (wanted,) = torch.autograd.grad(expected, x, dy)
    output = excited(x, module.fc1.weight, module.fc1.bias, module.fc2.weight, module.fc2.bias)
    (gradient,) = torch.autograd.grad(output, x, dy)
    assert torch.allclose(output, expected, rtol=1e-9, atol=1e-12)
    assert torch.allclose(gradient, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shape", [SMALL, LARGE])
@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("adds", [False, True])
def test_a_layer_of_it_adds_and_rectifies_too(shape: tuple[int, ...], *, adds: bool, rectified: bool) -> None:
    module, x, other = excitation_module(), features(shape).requires_grad_(True), features(shape)
    sums = module(x)
    dy, already = torch.randn_like(sums), torch.randn_like(sums)
    (dx,) = torch.autograd.grad(sums, x, dy)
    expected = sums + other if adds else sums
    expected = expected.relu() if rectified else expected

    weights = Excitation(module.fc1.weight, module.fc1.bias, module.fc2.weight, module.fc2.bias)
    layer = ExcitedFeatures(weights, rectified=rectified)
    with torch.no_grad():
        y, record = layer.recorded(x.detach(), other if adds else None)
        assert torch.allclose(y, expected, rtol=1e-9, atol=1e-12)
        assert torch.allclose(layer.input_gradient(dy, record), dx, rtol=1e-9, atol=1e-12)
        kept = already.clone()
        assert torch.allclose(layer.input_gradient(dy, record, onto=already), dx + kept, rtol=1e-9, atol=1e-12)
        assert torch.equal(already, kept), "others may hold it"
        summed = layer.input_gradient(dy, record, onto=already, overwrite=True)
        assert summed is already
        assert torch.allclose(summed, dx + kept, rtol=1e-9, atol=1e-12)


def excitation_module() -> Any:
    torch.manual_seed(0)
    return se_module(8, rd_ratio=1 / 4, rd_divisor=1).double().requires_grad_(False)


def features(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("shape", [SMALL, LARGE])
def test_products_are_summed_over_the_positions_of_each_image_and_channel(
    shape: tuple[int, ...], dtype: torch.dtype, layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    one, other = (torch.rand(shape).to(dtype).to(memory_format=layout) for _ in range(2))
    sums = positions_sum(one, other)
    assert sums.dtype is dtype
    expected = (one.double() * other.double()).sum((2, 3))
    assert torch.allclose(sums.double(), expected, rtol=1e-2 if dtype is torch.bfloat16 else 1e-5)


@pytest.mark.parametrize(
    ("options", "ours"),
    [
        ({}, True),
        ({"gate_layer": "hard_sigmoid"}, False),
        ({"act_layer": nn.SiLU}, False),
        ({"norm_layer": nn.BatchNorm2d}, False),
        ({"add_maxpool": True}, False),
    ],
)
def test_variants_stay_as_they_are(options: dict[str, Any], *, ours: bool) -> None:
    network = nn.Sequential(se_module(8, **options))
    replace_se_modules(network)
    assert isinstance(network[0], SqueezeExcitation) == ours
