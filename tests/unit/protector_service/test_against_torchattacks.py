"""BIM, ILLC, FGSM and PGD beside torchattacks, an independent implementation, on FaceNet in float32.

Where the two differ, and why: torchattacks works on images in 0..1 and steps by 1/255, so that its iterates are whole
levels only up to float32 rounding, while ours are whole levels exactly. The network thus sees inputs that differ in the
last bit, and where a gradient is tiny its sign may differ; a flipped sign changes what the next step sees, so the
trajectories drift apart pixel by pixel while their losses stay close. In 0..1 torchattacks also clips the budget around
the probe in floating point; compared are levels, rounded.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torchattacks
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from protector_service.gradients import BatchedGradients
from protector_service.methods.method import GradientMethod, iterations
from protector_service.methods.pgd import ProjectedGradientDescent
from recognizers.networks.facenet import FaceNet
from recognizers.networks.recognizer import Recognizer
from tests.support.drawn_faces import draw_face
from tests.support.engines import METHODS, craft, engine_of, order_of
from tests.support.networks import calibrated, knowing

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
    images = as_levels(probe) / 255
    adversarial = attack(images, torch.tensor([label_of(recognizer, probe, method)]))
    return np.asarray((adversarial[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())


def as_levels(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float()[None]


def label_of(recognizer: Recognizer, probe: NDArray[np.uint8], method: str) -> int:
    chosen = METHODS[method]
    assert isinstance(chosen, GradientMethod)
    with torch.no_grad():
        return chosen.label(recognizer.logits(as_levels(probe))[0], Y_TRUE)


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


@pytest.fixture(scope="module")
def facenet() -> Recognizer:
    faces = [draw_face(identity) for identity in range(5)]
    return knowing(calibrated(FaceNet, seed=3), faces, [f"drawn_{place}" for place in range(5)], confidence=0.5)


@pytest.mark.parametrize("epsilon", [1, 8, 128])
def test_fgsm_s_one_step_is_torchattacks_s(facenet: Recognizer, epsilon: int) -> None:
    probe = draw_face(Y_TRUE, side=160)
    attack = torchattacks.FGSM(UnitRange(facenet).eval(), eps=epsilon / 255)
    adversarial = attack(as_levels(probe) / 255, torch.tensor([Y_TRUE]))
    their_cloak = (adversarial[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    equal = (ours(facenet, probe, "fgsm", epsilon) == their_cloak).all(axis=2).mean()
    assert equal >= 0.999


class StartedAtTheProbe(ProjectedGradientDescent):
    """PGD as torchattacks has it without its random start, which cannot be given to it."""

    def start(self, probe: Tensor, *, epsilon: int, seed: int) -> Tensor:
        return probe


def test_pgd_s_steps_are_torchattacks_s(facenet: Recognizer) -> None:
    """The whole run at epsilon 8, as for BIM below; where it starts is tested on its own."""
    probe, epsilon = draw_face(Y_TRUE, side=160), 8
    attack = torchattacks.PGD(
        UnitRange(facenet).eval(), eps=epsilon / 255, alpha=1 / 255, steps=iterations(epsilon), random_start=False
    )
    adversarial = attack(as_levels(probe) / 255, torch.tensor([Y_TRUE]))
    their_cloak = (adversarial[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    with engine_of(BatchedGradients(facenet, batch_rows=1)) as engine:
        order = replace(order_of(probe, [], [epsilon], y_true=Y_TRUE), methods=(StartedAtTheProbe(),))
        (our_cloak,) = engine.craft(order)
    clean, our_loss, their_loss = (loss(facenet, each, Y_TRUE) for each in (probe, our_cloak.pixels, their_cloak))
    assert our_loss > clean, "the attack had an effect"
    assert our_loss == pytest.approx(their_loss, rel=0.02)


@pytest.mark.parametrize("method", ["bim", "illc"])
def test_facenet_with_random_weights(facenet: Recognizer, method: str) -> None:
    check_against_torchattacks(facenet, draw_face(Y_TRUE, side=160), method)
