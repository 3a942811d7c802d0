"""Methods beside torchattacks, an independent implementation."""

import numpy as np
import pytest
import torch
import torchattacks
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from protector_service.methods.illc import least_likely
from protector_service.methods.trajectory import iterations
from recognizers.networks.recognizer import Recognizer
from tests.support.engines import craft

Y_TRUE = 1


class UnitRange(nn.Module):
    """A recognizer of images in 0..1, as torchattacks wants it."""

    def __init__(self, recognizer: Recognizer) -> None:
        super().__init__()
        self._recognizer = recognizer
        self._device = nn.Parameter(torch.zeros(1))  # torchattacks asks the model's parameters for the device

    def forward(self, images: Tensor) -> Tensor:
        return self._recognizer.logits(images * 255)


def ours(recognizer: Recognizer, probe: NDArray[np.uint8], method: str, epsilon: int) -> NDArray[np.uint8]:
    (cloak,) = craft(recognizer, probe, [method], [epsilon], y_true=Y_TRUE, batch_rows=1, dtype=torch.float32)
    return cloak.pixels


def theirs(recognizer: Recognizer, probe: NDArray[np.uint8], method: str, epsilon: int, *, steps: int) -> NDArray[np.uint8]:
    attack = torchattacks.BIM(UnitRange(recognizer).eval(), eps=epsilon / 255, alpha=1 / 255, steps=steps)
    if method == "illc":
        attack.set_mode_targeted_by_label(quiet=True)
    return attacked(attack, as_levels(probe), label_of(recognizer, probe, method))


def attacked(attack: torchattacks.attack.Attack, image: Tensor, label: int) -> NDArray[np.uint8]:
    """What an attack of torchattacks makes of an image (1, 3, S, S), in levels."""
    adversarial = attack(image / 255, torch.tensor([label]))
    return np.asarray((adversarial[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())


def as_levels(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float()[None]


def label_of(recognizer: Recognizer, probe: NDArray[np.uint8], method: str) -> int:
    """The class whose loss a method raises, or that of `illc`, which lowers it."""
    if method != "illc":
        return Y_TRUE
    with torch.no_grad():
        return least_likely(recognizer.logits(as_levels(probe))[0])


def loss(recognizer: Recognizer, pixels: NDArray[np.uint8], label: int) -> float:
    with torch.no_grad():
        return float(cross_entropy(recognizer.logits(as_levels(pixels)), torch.tensor([label])))


def check_against_torchattacks(recognizer: Recognizer, probe: NDArray[np.uint8], method: str) -> None:
    """One step: at least 99.9 % of pixels equal. The full run at epsilon 8: the loss within 2 %.

    Where ILLC drives its loss to nothing, 2 % of the loss says nothing; there the label's probability, exp(-loss), is
    within 2 %.
    """
    one_step = theirs(recognizer, probe, method, 1, steps=iterations(1))
    equal = (ours(recognizer, probe, method, 1) == one_step).all(axis=2).mean()
    assert equal >= 0.999, f"{equal:.5f} of the pixels are equal after one step"

    label = label_of(recognizer, probe, method)
    our_cloak = ours(recognizer, probe, method, 8)
    their_cloak = theirs(recognizer, probe, method, 8, steps=iterations(8))
    clean, our_loss, their_loss = (loss(recognizer, pixels, label) for pixels in (probe, our_cloak, their_cloak))
    assert our_loss > clean if method == "bim" else our_loss < clean, "the attack had an effect"
    assert our_loss == pytest.approx(their_loss, rel=0.02, abs=0.02)
