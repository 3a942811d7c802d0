"""Gradients that meet in a taped backbone add up, however its nodes share them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.fx import symbolic_trace

from recognizers.fusing import fuse_convolutions, give_each_call_its_module
from recognizers.tape import TapedBackbone

Block = Callable[[Tensor, nn.Module, nn.Module], Tensor]

BLOCKS: dict[str, Block] = {
    "its own input added": lambda x, one, _: torch.relu(one(x) + x),
    "its own input added, not rectified": lambda x, one, _: one(x) + x,
    "two branches": lambda x, one, other: torch.relu(one(x) + other(torch.relu(x))),
    "one sum read twice": lambda x, one, other: one(x + x.tanh()) * other(x + x.tanh()),
    "a sum without convolutions": lambda x, one, _: x + x.sin() + one(x),
    "a shared sum, rectified and as it is": lambda x, one, other: torch.relu(one(x) + x) + other(x) + x,
    "joined": lambda x, one, other: torch.cat([one(x), x], 1)[:, 4:-4] + other(x),
    "one layer twice": lambda x, one, _: one(torch.relu(one(x) + x)) + x,
}


class Network(nn.Module):
    def __init__(self, block: Block) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 8, 3, 1, 1)
        self.one = nn.Conv2d(8, 8, 3, 1, 1)
        self.other = nn.Conv2d(8, 8, 1)
        self.last = nn.Conv2d(8, 4, 1, 2)
        self.block = block

    def forward(self, images: Tensor) -> Tensor:
        features = self.block(torch.relu(self.stem(images)), self.one, self.other)
        logits: Tensor = (self.last(features) + self.last(features.cos())).mean((2, 3))
        return logits


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_the_gradient_is_the_one_that_autograd_finds(block: Block) -> None:
    network = Network(block).requires_grad_(False)
    images = torch.randn(2, 3, 12, 12).to(memory_format=torch.channels_last)

    def answers(backbone: nn.Module) -> tuple[Tensor, Tensor]:
        seen = images.clone().requires_grad_(True)
        logits = backbone(seen)
        (gradient,) = torch.autograd.grad(logits[:, 0].sum(), seen)
        return logits.detach(), gradient

    expected = answers(network)
    traced = symbolic_trace(network)
    give_each_call_its_module(traced)
    fuse_convolutions(traced, images)
    for ours, theirs in zip(answers(TapedBackbone(traced)), expected, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-6)
