"""Folded networks are the same functions."""

import pytest
import torch
from torch import nn

from recognizers.architectures import ARCHITECTURES
from recognizers.folding import fold_batch_norm
from recognizers.head import LinearHead
from recognizers.label_set import LabelSet
from recognizers.recognizer import NeuralRecognizer
from tests.networks import calibrated


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_logits_and_gradients_stay_and_the_normalisations_go(name: str) -> None:
    network = calibrated(ARCHITECTURES[name], seed=4)
    recognizer = NeuralRecognizer(network, LinearHead(network.feature_size, LabelSet(("a", "b", "c")))).double()
    images = torch.rand(2, 3, network.input_size, network.input_size, generator=torch.Generator().manual_seed(1)) * 255

    def answers() -> tuple[torch.Tensor, torch.Tensor]:
        seen = images.double().requires_grad_(True)
        logits = recognizer.logits(seen)
        (gradient,) = torch.autograd.grad(logits[:, 0].sum(), seen)
        return logits.detach(), gradient

    before = answers()
    fold_batch_norm(recognizer)
    for old, new in zip(before, answers(), strict=True):
        assert float((old - new).norm() / old.norm()) < 1e-9
    assert not any(isinstance(module, nn.BatchNorm2d) for module in recognizer.network.modules())
    assert not any(parameter.requires_grad for parameter in recognizer.parameters())
