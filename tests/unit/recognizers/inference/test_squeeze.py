"""Squeeze-and-excitation with a backward pass of its own."""

import pytest
import torch
from timm.layers import SEModule
from torch import nn

from recognizers.inference.squeeze import SqueezeExcitation, excited, outgrow_caches, positions_sum, replace_se_modules

SMALL, LARGE = (2, 8, 5, 5), (2, 8, 130, 130)


def test_the_sizes_below_are_on_both_sides_of_what_caches_hold() -> None:
    assert not outgrow_caches(torch.Size(SMALL))
    assert outgrow_caches(torch.Size(LARGE))


@pytest.mark.parametrize("shape", [SMALL, LARGE])
@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("adds", [False, True])
def test_squeeze_and_excitation_has_the_gradient_that_autograd_finds(
    shape: tuple[int, ...], *, adds: bool, rectified: bool
) -> None:
    torch.manual_seed(0)
    module = SEModule(8, rd_ratio=1 / 4, rd_divisor=1).double().requires_grad_(False)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    other = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    inputs = (x, other) if adds else (x,)

    expected = module(x) + other if adds else module(x)
    expected = expected.relu() if rectified else expected
    weights = torch.randn_like(expected)
    wanted = torch.autograd.grad((expected * weights).sum(), inputs)

    first, second = module.fc1, module.fc2
    output = excited(x, first.weight, first.bias, second.weight, second.bias, other if adds else None, rectified)
    gradients = torch.autograd.grad((output * weights).sum(), inputs)
    for ours, theirs in zip((output, *gradients), (expected, *wanted), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-9, atol=1e-12)


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
    ("module", "ours"),
    [
        (SEModule(8), True),
        (SEModule(8, gate_layer="hard_sigmoid"), False),
        (SEModule(8, act_layer=nn.SiLU), False),
        (SEModule(8, norm_layer=nn.BatchNorm2d), False),
        (SEModule(8, add_maxpool=True), False),
    ],
)
def test_variants_stay_as_they_are(module: SEModule, *, ours: bool) -> None:
    network = nn.Sequential(module)
    replace_se_modules(network)
    assert isinstance(network[0], SqueezeExcitation) == ours
