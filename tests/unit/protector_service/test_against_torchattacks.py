"""BIM, ILLC, FGSM, PGD and part of the momentum family beside torchattacks, an independent implementation, in float32.

Where the two differ, and why: torchattacks works on images in 0..1 and steps by 1/255, so that its iterates are whole
levels only up to float32 rounding, while ours are whole levels exactly. The network thus sees inputs that differ in the
last bit, and where a gradient is tiny its sign may differ; a flipped sign changes what the next step sees, so the
trajectories drift apart pixel by pixel while their losses stay close. In 0..1 torchattacks also clips the budget around
the probe in floating point; compared are levels, rounded.
"""

import numpy as np
import pytest
import torch
import torchattacks
from numpy.typing import NDArray

from protector_service.methods.asks import Cost, Crafting
from protector_service.methods.method import Method, MethodJob
from protector_service.methods.trajectory import iterations, loss_gradient, separate_trajectories
from recognizers.networks.compact import CompactFaceNet
from recognizers.networks.facenet import FaceNet
from recognizers.networks.recognizer import Recognizer
from tests.support.crafting import crafted, method_job
from tests.support.drawn_faces import draw_face
from tests.support.engines import METHODS
from tests.support.networks import SmallRecognizer, calibrated, knowing, probe
from tests.support.torchattacks_oracle import (
    Y_TRUE,
    UnitRange,
    as_levels,
    attacked,
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
    their_cloak = attacked(attack, as_levels(probe), Y_TRUE)
    equal = (ours(facenet, probe, "fgsm", epsilon) == their_cloak).all(axis=2).mean()
    assert equal >= 0.999


class StartedAtTheProbe(Method):
    """PGD as torchattacks has it without its random start, which cannot be given to it."""

    name = "pgd"
    description = "PGD from the probe."

    def cost(self, epsilon: int) -> Cost:
        return Cost(gradients=iterations(epsilon))

    def craft(self, job: MethodJob) -> Crafting:
        return separate_trajectories(job, loss_gradient(job.y_true))


def test_pgd_s_steps_are_torchattacks_s(facenet: Recognizer) -> None:
    """The whole run at epsilon 8, as for BIM below; where it starts is tested on its own."""
    probe, epsilon = probe_of(facenet), 8
    attack = torchattacks.PGD(
        UnitRange(facenet).eval(), eps=epsilon / 255, alpha=1 / 255, steps=iterations(epsilon), random_start=False
    )
    their_cloak = attacked(attack, as_levels(probe), Y_TRUE)
    method = StartedAtTheProbe()
    (our_cloak,) = crafted(method, method_job(method, probe, [epsilon], y_true=Y_TRUE, dtype=torch.float32), facenet)
    clean, our_loss, their_loss = (loss(facenet, each, Y_TRUE) for each in (probe, our_cloak.pixels, their_cloak))
    assert our_loss > clean, "the attack had an effect"
    assert our_loss == pytest.approx(their_loss, rel=0.02)


@pytest.mark.parametrize("method", ["bim", "illc"])
def test_the_paper_s_methods_are_torchattacks_s(facenet: Recognizer, method: str) -> None:
    check_against_torchattacks(facenet, probe_of(facenet), method)


def momentum_attack(method: str, model: UnitRange, epsilon: int) -> torchattacks.attack.Attack:
    """torchattacks' own settings differ: its TI has no momentum and DI's input."""
    settings = {"eps": epsilon / 255, "alpha": 1 / 255, "steps": iterations(epsilon), "decay": 1.0}
    if method == "ti":
        attack = torchattacks.TIFGSM(model, diversity_prob=0.0, **settings)
        attack.stacked_kernel = torch.from_numpy(np.stack([attack.gkern()] * 3)[:, None])  # without rounding to float32
        return attack
    return {"mi": torchattacks.MIFGSM, "ni": torchattacks.NIFGSM, "si": torchattacks.SINIFGSM}[method](model, **settings)


@pytest.mark.parametrize(
    ("method", "epsilon"),
    [
        *((method, epsilon) for method in ("mi", "ni", "ti") for epsilon in (1, 8, 40)),
        ("si", 1),  # which torchattacks has with NI's look ahead only; there is none before the first step
    ],
)
def test_the_momentum_family_is_torchattacks_s(method: str, epsilon: int) -> None:
    """In float64, where whole levels divided by 255 are exact enough for every pixel to agree."""
    recognizer, photo = SmallRecognizer(input_size=16), probe(side=16)
    job = method_job(METHODS[method], photo, [epsilon], y_true=Y_TRUE)
    (cloak,) = crafted(METHODS[method], job, recognizer)
    attack = momentum_attack(method, UnitRange(recognizer).eval(), epsilon)
    assert np.array_equal(cloak.pixels, attacked(attack, job.probe[None], Y_TRUE))
