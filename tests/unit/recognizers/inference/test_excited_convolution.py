"""A convolution and its excitation in one layer are the two of them."""

import pytest
import torch
from torch import nn

from recognizers.inference.excited_convolution import ExcitedConvolution
from recognizers.inference.squeeze import Excitation
from tests.support.networks import se_module


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("adds", [False, True])
def test_it_is_what_it_replaces_and_has_its_gradient(*, adds: bool, rectified: bool) -> None:
    torch.manual_seed(0)
    convolution = nn.Conv2d(4, 16, 1).requires_grad_(False)
    module = se_module(16, rd_ratio=1 / 4, rd_divisor=1).requires_grad_(False)
    x = torch.randn(3, 4, 9, 9).to(memory_format=torch.channels_last).requires_grad_(True)
    sums = module(convolution(x))
    other = torch.randn_like(sums)
    dy = torch.randn_like(sums)
    (dx,) = torch.autograd.grad(sums, x, dy)
    y = sums + other if adds else sums
    y = y.relu() if rectified else y
    already = torch.randn_like(dx)

    excitation = Excitation(module.fc1.weight, module.fc1.bias, module.fc2.weight, module.fc2.bias)
    layer = ExcitedConvolution(convolution, excitation, rectified=rectified, x=x.shape, y=y.shape)
    with torch.no_grad():
        output, record = layer.recorded(x.detach(), other if adds else None)
        assert torch.allclose(output, y, rtol=1e-4, atol=1e-5)
        assert torch.equal(layer(x.detach(), other if adds else None), output)
        assert torch.allclose(layer.input_gradient(dy, record), dx, rtol=1e-4, atol=1e-5)
        kept = already.clone()
        assert torch.allclose(layer.input_gradient(dy, record, onto=already), dx + kept, rtol=1e-4, atol=1e-5)
        assert torch.equal(already, kept), "others may hold it"
        summed = layer.input_gradient(dy, record, onto=already, overwrite=True)
        assert torch.allclose(summed, dx + kept, rtol=1e-4, atol=1e-5)
        assert summed is already
