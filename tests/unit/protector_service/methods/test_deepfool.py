"""DeepFool beside what can be worked by hand, a plain loop, and foolbox."""

from collections.abc import Callable, Sequence
from typing import Any

import foolbox
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from protector_service.methods.asks import Answer, Ask, Cost
from protector_service.methods.deepfool import DeepFool
from recognizers.networks.recognizer import Recognizer
from tests.support.answering import by_autograd, craft_with_all, drive, jacobian, job_for, levels, mean_logits
from tests.support.networks import LinearRecognizer, SmallRecognizer, probe

METHOD = DeepFool()
LEVEL = 98.0  # of all channels of the hand-worked probe


def named(recognizers: Sequence[Recognizer], x: Tensor) -> int:
    return int(mean_logits(x, recognizers).argmax())


def plain_probe(recognizers: Sequence[Recognizer], *, seed: int) -> tuple[Tensor, int]:
    """A probe whose class lies some 35 levels from the nearest border, over which the model is curved, and this class."""
    side = max(recognizer.input_size for recognizer in recognizers)
    x = torch.from_numpy(probe(side=side, seed=seed)).permute(2, 0, 1).double() / 2 + 64
    y_true = named(recognizers, x)
    for _ in range(10):
        x.requires_grad_(True)
        (gradient,) = torch.autograd.grad(mean_logits(x, recognizers).log_softmax(0)[y_true], x)
        x = x.detach() + 4 * gradient.sign()
    return x.round(), y_true


def plain_deepfool(logits_of: Callable[[Tensor], Tensor], x: Tensor, y_true: int) -> tuple[Tensor, int]:
    """The method as the paper states it, by the whole Jacobian: where it ends, and after how many steps."""
    clean = logits_of(x)
    others = sorted(set(range(len(clean))) - {y_true}, key=lambda label: -float(clean[label]))[:10]
    steps = 0
    while int(logits_of(x.round()).argmax()) == y_true:
        gradients = jacobian(logits_of, x)
        logits = logits_of(x)
        borders = []
        for label in others:
            w = gradients[label] - gradients[y_true]
            borders.append((float((logits[label] - logits[y_true]).abs() / w.abs().sum()), label))
        distance, nearest = min(borders)
        x = (x + 1.02 * distance * (gradients[nearest] - gradients[y_true]).sign()).clamp(0, 255)
        steps += 1
    return x, steps


def two_borders() -> tuple[LinearRecognizer, Tensor, Tensor]:
    """A linear model, a probe of its class 0, and the weights (3, 2, 2) of class 1, whose border is the nearest.

    Class 1 weighs all 12 channels alike, five up and seven down: 98 / 6 levels of every channel reach it. Class 2 weighs two
    channels only: 19.6 levels reach it, which is further in the largest change, but nearer in the Euclidean norm (27 to 57).
    """
    spread = torch.tensor([1.0] * 5 + [-1.0] * 7, dtype=torch.float64).view(3, 2, 2) / 12
    narrow = torch.zeros(12, dtype=torch.float64)
    narrow[0], narrow[1] = 0.4, -0.6
    weights = torch.stack([torch.zeros_like(spread), spread, narrow.view(3, 2, 2)])
    return LinearRecognizer(weights), torch.full((3, 2, 2), LEVEL, dtype=torch.float64), spread


def unmoved(ask: Ask) -> Answer:
    """Class 0 is far ahead of 11 others wherever the image is, and the gradients show a way that leads nowhere."""
    logits = torch.tensor([100.0] + [0.0] * 11)
    return Answer(logits, loss=torch.tensor(-100.0), gradient=torch.ones_like(ask.image))


def saturated(ask: Ask) -> Answer:
    """Class 0 is far ahead of two others, and no gradient leads anywhere."""
    return Answer(torch.tensor([9.0, 0.0, 0.0]), loss=torch.tensor(-9.0), gradient=torch.zeros_like(ask.image))


def test_a_linear_model_s_nearest_border_in_the_largest_change_is_crossed_in_one_step() -> None:
    recognizer, x, weights = two_borders()
    driven = drive(METHOD, job_for(METHOD, x, 8, 255), by_autograd(recognizer))
    assert torch.allclose(driven.cloaks[255].image, x + 1.02 * 98 / 6 * weights.sign())
    assert torch.equal(driven.cloaks[8].image, x + 8 * weights.sign()), "clipped"
    for cloak in driven.cloaks.values():
        assert cloak.effort is not None
        assert (cloak.effort.n_iter, cloak.effort.gradients, cloak.effort.forward_passes) == (1, 2, 2)


def test_a_cloak_of_a_linear_model_is_of_another_class_where_its_budget_reaches_the_border() -> None:
    recognizer, x, weights = two_borders()
    cloaks, _ = craft_with_all(METHOD, [recognizer], x, [16, 17, 40], y_true=0)
    assert np.array_equal(cloaks[17].pixels, levels(x + 17 * weights.sign()))
    assert np.array_equal(cloaks[40].pixels, cloaks[17].pixels)
    images = {epsilon: torch.tensor(cloak.pixels).permute(2, 0, 1).double() for epsilon, cloak in cloaks.items()}
    assert {epsilon: named([recognizer], image) for epsilon, image in images.items()} == {16: 0, 17: 1, 40: 1}


class OnceRounded(foolbox.criteria.Criterion):  # type: ignore[misc]
    """Whether an image is misnamed once it is rounded to levels, as a cloak is."""

    def __init__(self, recognizer: Recognizer, y_true: int) -> None:
        self.recognizer, self.y_true = recognizer, y_true

    def __repr__(self) -> str:
        return type(self).__name__

    def __call__(self, perturbed: Any, outputs: Any) -> Any:
        misnamed = self.recognizer.logits(perturbed.raw.round()).argmax(1) != self.y_true
        return type(perturbed)(misnamed)


class Module(nn.Module):
    """A recognizer as foolbox wants it."""

    def __init__(self, recognizer: Recognizer) -> None:
        super().__init__()
        self.recognizer = recognizer

    def forward(self, images: Tensor) -> Tensor:
        return self.recognizer.logits(images)


@pytest.mark.parametrize(("seed", "n_iter"), [(4, 2), (7, 6), (8, 6), (11, 5)])
def test_it_goes_where_foolbox_goes(seed: int, n_iter: int) -> None:
    """Made comparable: in levels, the same decision on rounded images, and 11 candidates, as foolbox counts the true class.

    It still adds 1e-4 of its unit, here a level, to every distance, which later steps double.
    """
    recognizer = SmallRecognizer(seed=seed, classes=20)
    x, y_true = plain_probe([recognizer], seed=seed)
    attack = foolbox.attacks.LinfDeepFoolAttack(steps=50, candidates=11, overshoot=0.02)
    model = foolbox.PyTorchModel(Module(recognizer).eval(), bounds=(0, 255), device="cpu")
    theirs = attack.run(model, x[None], OnceRounded(recognizer, y_true))[0]
    cloak = drive(METHOD, job_for(METHOD, x, 255, y_true=y_true), by_autograd(recognizer)).cloaks[255]
    assert cloak.effort is not None
    assert cloak.effort.n_iter == n_iter
    assert (cloak.image - x).abs().max() > 20, "levels"
    assert (cloak.image - theirs).abs().max() < 0.005, "levels"


@pytest.mark.parametrize("seed", [7, 11])
def test_one_run_of_10_gradients_a_step_serves_every_budget(seed: int) -> None:
    recognizer = SmallRecognizer(seed=seed, classes=20)
    x, y_true = plain_probe([recognizer], seed=seed)
    end, steps = plain_deepfool(lambda image: mean_logits(image, [recognizer]), x, y_true)
    cloaks, (model,) = craft_with_all(METHOD, [recognizer], x, [2, 8, 64], y_true=y_true)
    assert steps > 2
    assert (model.gradients, model.forward_passes) == (10 * steps, 1 + steps)
    for epsilon, cloak in cloaks.items():
        assert np.array_equal(cloak.pixels, levels(x + (end - x).clamp(-epsilon, epsilon)))
        effort = cloak.effort
        assert (effort.n_iter, effort.gradients, effort.forward_passes) == (steps, 10 * steps, 1 + steps)


@pytest.mark.parametrize("seed", range(3))
def test_of_an_ensemble_it_crosses_the_border_of_the_mean_over_members_of_different_sizes(seed: int) -> None:
    members = [SmallRecognizer(seed=seed, input_size=size, classes=13) for size in (9, 6)]
    x, y_true = plain_probe(members, seed=seed)
    end, steps = plain_deepfool(lambda image: mean_logits(image, members), x, y_true)
    cloaks, models = craft_with_all(METHOD, members, x, [255], y_true=y_true)
    assert np.array_equal(cloaks[255].pixels, levels(end))
    assert [model.gradients for model in models] == [10 * steps] * 2
    effort = cloaks[255].effort
    assert (effort.n_iter, effort.gradients, effort.forward_passes) == (steps, 2 * 10 * steps, 2 * (1 + steps))


def test_it_gives_up_after_50_steps_having_spent_what_it_costs_at_most() -> None:
    x = torch.full((3, 2, 2), LEVEL)
    driven = drive(METHOD, job_for(METHOD, x, 255), unmoved)
    effort = driven.cloaks[255].effort
    assert effort is not None
    assert effort.n_iter == 50
    assert Cost(effort.gradients, effort.forward_passes) == METHOD.cost(255) == Cost(500, 51)
    assert torch.equal(driven.cloaks[255].image, torch.full_like(x, 255.0)), "in the pixel range"


def test_a_probe_from_which_no_gradient_leads_is_left_as_it_is() -> None:
    x = torch.full((3, 2, 2), LEVEL)
    driven = drive(METHOD, job_for(METHOD, x, 4, 16), saturated)
    for cloak in driven.cloaks.values():
        assert torch.equal(cloak.image, x)
        assert cloak.effort is not None
        assert (cloak.effort.n_iter, cloak.effort.gradients, cloak.effort.zero_gradient_share) == (0, 2, 1)


def test_a_class_without_a_gradient_does_not_keep_it_from_another_s_border() -> None:
    recognizer, x, weights = two_borders()

    def answer(ask: Ask) -> Answer:
        answered = by_autograd(recognizer)(ask)
        if ask.objective is not None and float(answered.gradient.count_nonzero()) == 2:  # class 2
            return Answer(answered.logits, loss=torch.tensor(0.0), gradient=torch.zeros_like(ask.image))
        return answered

    driven = drive(METHOD, job_for(METHOD, x, 255), answer)
    assert torch.allclose(driven.cloaks[255].image, x + 1.02 * 98 / 6 * weights.sign())


def test_a_probe_that_is_not_taken_for_its_identity_is_left_as_it_is() -> None:
    recognizer, x, _ = two_borders()
    driven = drive(METHOD, job_for(METHOD, x, 4, 16, y_true=2), by_autograd(recognizer))
    assert [ask.gradient for ask in driven.asks] == [False]
    assert all(torch.equal(cloak.image, x) for cloak in driven.cloaks.values())


def test_a_probe_on_a_border_leaves_it() -> None:
    """Two classes that weigh the channels against each other: a grey probe is as much one as the other."""
    weights = torch.tensor([1.0, -1.0] * 6, dtype=torch.float64).view(3, 2, 2)
    recognizer = LinearRecognizer(torch.stack([weights, -weights]))
    x = torch.full((3, 2, 2), LEVEL, dtype=torch.float64)
    cloaks, _ = craft_with_all(METHOD, [recognizer], x, [4], y_true=0)
    assert np.array_equal(cloaks[4].pixels, levels(x - weights))


def test_a_budget_of_0_asks_nothing() -> None:
    recognizer, x, _ = two_borders()
    driven = drive(METHOD, job_for(METHOD, x, 0), by_autograd(recognizer))
    assert driven.asks == []
    assert torch.equal(driven.cloaks[0].image, x)
    assert METHOD.cost(0) == Cost()


def test_the_only_class_there_is_has_no_border() -> None:
    x = torch.full((3, 2, 2), LEVEL)
    driven = drive(METHOD, job_for(METHOD, x, 8), lambda ask: Answer(torch.tensor([1.0])))
    assert torch.equal(driven.cloaks[8].image, x)
