"""Gradients that meet in a taped backbone add up, however its nodes share them."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.fx import symbolic_trace

from recognizers.inference.frozen_convolution import FrozenConvolution
from recognizers.inference.fusing import fuse_convolutions, give_each_call_its_module
from recognizers.inference.tape import ManualBackward

Block = Callable[[Tensor, nn.Module, nn.Module], Any]


def in_place(x: Tensor, one: nn.Module, other: nn.Module) -> Any:
    y = torch.relu_((x + one(x)).sin())
    z = nn.functional.hardtanh_(other(x).cos(), -0.5, 0.5)
    return y + z + nn.functional.relu6(one(x).sin(), inplace=True)


def by_in_place_methods(x: Tensor, one: nn.Module, other: nn.Module) -> Any:
    return (x + 1).add_(one(x)).sub_(0.1).mul_(1.5).div_(2.0).clamp_(-2, 2).relu_() + other(x)


def one_sum_for_two(x: Tensor, one: nn.Module, other: nn.Module) -> Any:
    second, first = torch.relu(other(x)), torch.relu(other(x.sin()))
    return (one(x) + first) + second


def sums_of_sums(x: Tensor, one: nn.Module, other: nn.Module) -> Any:
    first, second = x.tanh(), x.sin()
    return (second.cos() + first.sin()) * (first + second) + one(x) + other(x)


BLOCKS: dict[str, Block] = {
    "its own input added": lambda x, one, _: torch.relu(one(x) + x),
    "its own input added, not rectified": lambda x, one, _: one(x) + x,
    "two branches": lambda x, one, other: torch.relu(one(x) + other(torch.relu(x))),
    "one sum read twice": lambda x, one, other: one(x + x.tanh()) * other(x + x.tanh()),
    "one sum for two": one_sum_for_two,
    "sums of sums": sums_of_sums,
    "a sum without convolutions": lambda x, one, _: x + x.sin() + one(x),
    "a shared sum, rectified and as it is": lambda x, one, other: torch.relu(one(x) + x) + other(x) + x,
    "one number a channel added": lambda x, one, _: torch.relu(one(x) + x.mean((2, 3), keepdim=True)),
    "a number added": lambda x, one, _: torch.relu(one(x) + x.size(1) * 0.01),
    "joined": lambda x, one, other: torch.cat([one(x), x], 1)[:, 4:-4] + other(x),
    "masked": lambda x, one, other: one(x) * (other(x) > 0),
    "partly not differentiable": lambda x, one, other: one(x) + x.detach() + other(torch.zeros_like(x)).sigmoid(),
    "written in place": lambda x, one, other: in_place(x, one, other) + x,
    "written in place by methods": by_in_place_methods,
    "one layer twice": lambda x, one, _: one(torch.relu(one(x) + x)) + x,
}


class Network(nn.Module):
    shift: Tensor

    def __init__(self, block: Block) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 8, 3, 1, 1)
        self.one = nn.Conv2d(8, 8, 3, 1, 1)
        self.other = nn.Conv2d(8, 8, 1)
        self.last = nn.Conv2d(8, 4, 1, 2)
        self.block = block
        self.scale = nn.Parameter(torch.rand(3, 1, 1))
        self.register_buffer("shift", torch.rand(1, 8, 12, 12))

    def forward(self, images: Tensor) -> Tensor:
        features = self.block(torch.relu(self.stem(images * self.scale) + self.shift), self.one, self.other)
        logits: Tensor = (self.last(features) + self.last(features.cos())).mean((2, 3))
        return logits


def answers(backbone: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    seen = images.clone().requires_grad_(True)
    logits = backbone(seen)
    (gradient,) = torch.autograd.grad(logits[:, 0].sum(), seen)
    return logits.detach(), gradient


def taped(network: nn.Module, images: Tensor) -> ManualBackward:
    traced = symbolic_trace(network)
    give_each_call_its_module(traced)
    fuse_convolutions(traced, images)
    return ManualBackward(traced)


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_the_gradient_is_the_one_that_autograd_finds(block: Block) -> None:
    network = Network(block).requires_grad_(False)
    images = torch.randn(2, 3, 12, 12).to(memory_format=torch.channels_last)
    expected = answers(network, images)
    for ours, theirs in zip(answers(taped(network, images), images), expected, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-6)


CONVOLUTIONS: dict[str, Callable[[], nn.Conv2d]] = {
    "in groups": lambda: nn.Conv2d(8, 8, 3, 1, 1, groups=8),
    "dilated": lambda: nn.Conv2d(8, 8, 3, 1, 2, dilation=2),
    "padded wider than it is": lambda: nn.Conv2d(8, 8, 1, 1, 1),
    "padded by name": lambda: nn.Conv2d(8, 8, 3, padding="same"),
    "padded with reflections": lambda: nn.Conv2d(8, 8, 3, 1, 1, padding_mode="reflect"),
    "of two strides": lambda: nn.Conv2d(8, 8, 3, (1, 2), 1),
}


@pytest.mark.parametrize("convolution", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_convolutions_of_other_kinds_stay(convolution: Callable[[], nn.Conv2d]) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), convolution(), nn.ReLU(), nn.Conv2d(8, 4, 1), nn.AdaptiveAvgPool2d(1)
    )
    network.append(nn.Flatten()).requires_grad_(False)
    images = torch.randn(2, 3, 12, 12).to(memory_format=torch.channels_last)
    expected = answers(network, images)
    ours = taped(network, images)
    assert sum(isinstance(module, FrozenConvolution) for module in ours.modules()) == 2
    for one, other in zip(answers(ours, images), expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-6)


def test_the_callers_gradient_stays() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()).requires_grad_(False)
    images = torch.randn(2, 3, 12, 12).to(memory_format=torch.channels_last).requires_grad_(True)
    features = taped(network, images.detach())(images)
    dy = torch.randn_like(features)
    kept = dy.clone()
    features.backward(dy)
    assert torch.equal(dy, kept)


class Halved(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)

    def forward(self, images: Tensor) -> Tensor:
        one, other = torch.chunk(self.stem(images), 2, dim=1)
        return one * other


def test_a_step_that_gives_several_tensors_is_refused() -> None:
    images = torch.randn(2, 3, 12, 12)
    backbone = taped(Halved().requires_grad_(False), images)
    with pytest.raises(TypeError, match="chunk: expected each step of the network to give one tensor, got 2"):
        backbone(images.requires_grad_(True))
