"""Frozen convolutions are convolutions, with what follows them."""

import pytest
import torch
from torch import nn

from recognizers.inference.frozen_convolution import FrozenConvolution


@pytest.mark.parametrize("size", [12, 13, 14])
@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("adds", [False, True])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [(1, 1, 0), (1, 2, 0), (3, 1, 1), (3, 2, 1), (3, 2, 0), (3, 1, 0), ((1, 7), 1, (0, 3)), (7, 2, 3), (5, 3, 2), (2, 2, 0)],
)
def test_a_frozen_convolution_is_the_convolution_with_what_follows_it_and_has_its_gradient(
    kernel: int | tuple[int, int], stride: int, padding: int | tuple[int, int], size: int, *, adds: bool, rectified: bool
) -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(5, 7, kernel, stride, padding).requires_grad_(False)
    x = torch.randn(2, 5, size, size + 1).to(memory_format=torch.channels_last).requires_grad_(True)
    unadded = plain(x)
    other = torch.randn_like(unadded)
    dy = torch.randn_like(unadded)
    (dx,) = torch.autograd.grad(unadded, x, dy)
    already = torch.randn_like(dx)
    y = unadded + other if adds else unadded
    y = y.relu() if rectified else y

    frozen = FrozenConvolution(plain, rectified=rectified, x=x.shape, y=y.shape)
    with torch.no_grad():
        assert torch.allclose(frozen(x, other if adds else None), y, rtol=1e-4, atol=1e-5)
        assert torch.allclose(frozen.input_gradient(dy), dx, rtol=1e-4, atol=1e-5)
        kept = already.clone()
        assert torch.allclose(frozen.input_gradient(dy, onto=already), dx + already, rtol=1e-4, atol=1e-5)
        assert torch.equal(already, kept), "others may hold it"
        summed = frozen.input_gradient(dy, onto=already, overwrite=True)
        assert torch.allclose(summed, dx + kept, rtol=1e-4, atol=1e-5)
        assert summed is already or kernel != 1
