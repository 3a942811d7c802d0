"""BIM, ILLC, FGSM and PGD beside torchattacks, an independent implementation, in float32.

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
from torch import Tensor

from protector_service.gradients import BatchedGradients
from protector_service.methods.method import iterations
from protector_service.methods.pgd import ProjectedGradientDescent
from recognizers.networks.compact import CompactFaceNet
from recognizers.networks.facenet import FaceNet
from recognizers.networks.recognizer import Recognizer
from tests.support.drawn_faces import draw_face
from tests.support.engines import engine_of, order_of
from tests.support.networks import calibrated, knowing
from tests.support.torchattacks_oracle import (
    Y_TRUE,
    UnitRange,
    as_levels,
    check_against_torchattacks,
    loss,
    ours,
)

FULL_SIZE = pytest.mark.thorough("protector_service/", "recognizers/")


@pytest.fixture(
    scope="module", params=[CompactFaceNet, pytest.param(FaceNet, marks=FULL_SIZE)], ids=["compact", "full-size"]
)
def facenet(request: pytest.FixtureRequest) -> Recognizer:
    """With random weights."""
    faces = [draw_face(identity) for identity in range(5)]
    return knowing(calibrated(request.param, seed=3), faces, [f"drawn_{place}" for place in range(5)], confidence=0.5)


def probe_of(facenet: Recognizer) -> NDArray[np.uint8]:
    return draw_face(Y_TRUE, side=facenet.input_size)


@pytest.mark.parametrize("epsilon", [1, 8, 128])
def test_fgsm_s_one_step_is_torchattacks_s(facenet: Recognizer, epsilon: int) -> None:
    probe = probe_of(facenet)
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
    probe, epsilon = probe_of(facenet), 8
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
def test_the_paper_s_methods_are_torchattacks_s(facenet: Recognizer, method: str) -> None:
    check_against_torchattacks(facenet, probe_of(facenet), method)
