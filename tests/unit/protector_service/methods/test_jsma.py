"""JSMA beside plain loops over all pairs, and what can be worked by hand."""

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from protector_service.methods import jsma
from protector_service.methods.asks import NOTHING, Answer, Ask, Cost
from protector_service.methods.jsma import SaliencyMapAttack, best_pair
from tests.support.answering import by_autograd, craft_with_all, drive, jacobian, job_for, levels, mean_logits
from tests.support.networks import SmallRecognizer, probe

METHOD = SaliencyMapAttack()


def image(*, side: int, seed: int = 0) -> Tensor:
    """A probe (3, S, S) with some channels at 255."""
    return torch.from_numpy(probe(side=side, seed=seed)).permute(2, 0, 1).double().add(40).clamp(max=255)


def salient_channels(of_target: Sequence[float], of_others: Sequence[float], allowed: Sequence[int]) -> list[int]:
    """The 256 channels with the largest alpha |beta| of their own, where alpha > 0 and beta < 0."""

    def saliency(channel: int) -> float:
        alpha, beta = of_target[channel], of_others[channel]
        return alpha * abs(beta) if alpha > 0 and beta < 0 else 0

    return sorted(allowed, key=saliency, reverse=True)[:256]


def brute_force(logits_of: Callable[[Tensor], Tensor], x: Tensor, epsilon: int, target: int) -> list[Tensor]:
    """The images from the probe to the cloak, by the definition: derivatives of all classes, and loops over all pairs."""
    start, images = x.flatten().tolist(), [x]
    allowed = [channel for channel, level in enumerate(start) if level < 255]
    while len(images) <= 0.02 * len(start) / 2 and int(logits_of(images[-1]).argmax()) != target:
        derivatives = jacobian(logits_of, images[-1]).flatten(1).tolist()
        of_target = derivatives.pop(target)
        of_others = [sum(column) for column in zip(*derivatives, strict=True)]
        best, chosen = 0.0, None
        for pair in combinations(salient_channels(of_target, of_others, allowed), 2):
            alpha, beta = sum(of_target[channel] for channel in pair), sum(of_others[channel] for channel in pair)
            if alpha > 0 and beta < 0 and alpha * abs(beta) > best:
                best, chosen = alpha * abs(beta), pair
        if chosen is None:
            break
        raised = images[-1].flatten().clone()
        for channel in chosen:
            raised[channel] = min(255, start[channel] + epsilon)
            allowed.remove(channel)
        images.append(raised.view_as(x))
    return images


def ranking(logits: Tensor) -> list[int]:
    """The classes, the most probable first."""
    return sorted(range(len(logits)), key=lambda label: -float(logits[label]))


def two_classes(towards: Tensor, *, ahead: float) -> Callable[[Ask], Answer]:
    """Answers of a linear model: with the weighted change from 100 class 1 rises, and class 0 falls twice as fast."""

    def answer(ask: Ask) -> Answer:
        with torch.enable_grad():
            x = ask.image.clone().requires_grad_(True)
            moved = (towards * (x - 100)).sum()
            logits = torch.stack([ahead - 2 * moved, moved])
            if ask.objective is None:
                return Answer(logits.detach())
            loss = ask.objective(logits, NOTHING)
            return Answer(logits.detach(), loss=loss.detach(), gradient=torch.autograd.grad(loss, x)[0])

    return answer


@pytest.mark.parametrize(("side", "pairs"), [(9, 2), (12, 4)])
@pytest.mark.parametrize("seed", range(3))
def test_every_step_raises_the_pair_that_loops_over_all_pairs_find(side: int, pairs: int, seed: int) -> None:
    """Of 9 x 9 pixels all channels are compared, of 12 x 12 the 256 most salient."""
    recognizer = SmallRecognizer(seed=seed, input_size=side)
    x = image(side=side, seed=seed)
    best, runner_up, *_ = ranking(mean_logits(x, [recognizer]))
    expected = brute_force(lambda image: mean_logits(image, [recognizer]), x, 4, runner_up)
    driven = drive(METHOD, job_for(METHOD, x, 4, y_true=best), by_autograd(recognizer))
    asked = [asks[0].image for asks in driven.rounds]  # the first without a gradient; the last image is not asked about
    assert len(expected) == 1 + pairs
    assert [image.tolist() for image in [*asked[1:], driven.cloaks[4].image]] == [image.tolist() for image in expected]


@pytest.mark.parametrize("epsilon", [24, 64])
def test_it_stops_where_the_target_is_reached(epsilon: int) -> None:
    """Two channels that are raised by epsilon move the logits' difference by 3 epsilon each."""
    towards = torch.full((3, 16, 16), 1.0)
    driven = drive(METHOD, job_for(METHOD, torch.full((3, 16, 16), 100.0), epsilon), two_classes(towards, ahead=500))
    (cloak,) = driven.cloaks.values()
    pairs = {24: 4, 64: 2}[epsilon]
    assert int((cloak.image > 100).sum()) == 2 * pairs
    assert cloak.effort is not None
    assert (cloak.effort.n_iter, cloak.effort.gradients, cloak.effort.forward_passes) == (pairs, 2 * (pairs + 1), 1)


@pytest.mark.parametrize(("side", "changed"), [(4, 0), (8, 2), (16, 14)])
def test_at_most_2_percent_of_the_channels_change_each_by_epsilon(side: int, changed: int) -> None:
    towards = torch.rand(3, side, side, generator=torch.Generator().manual_seed(0)) + 0.5
    x = torch.full((3, side, side), 100.0)
    driven = drive(METHOD, job_for(METHOD, x, 3, 17), two_classes(towards, ahead=1e6))
    assert changed <= 0.02 * x.numel()
    most = towards.flatten().argsort(descending=True)[:changed]
    for epsilon, cloak in driven.cloaks.items():
        expected = x.flatten().index_fill(0, most, 100.0 + epsilon).view_as(x)
        assert torch.equal(cloak.image, expected), "a pair of this model is the better, the larger its weights"


def test_no_image_is_changed_in_more_places_than_the_cost_is_stated_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert METHOD.cost(8) == Cost(gradients=2 * 1505, forward_passes=1), "2 % of the 150,528 channels of 224 x 224 pixels"
    monkeypatch.setattr(jsma, "MOST_PAIRS", 3)
    x = torch.full((3, 16, 16), 100.0)
    driven = drive(METHOD, job_for(METHOD, x, 8), two_classes(torch.ones_like(x), ahead=1e6))
    assert int((driven.cloaks[8].image > 100).sum()) == 6
    assert sum(ask.gradient for ask in driven.asks) == 6


def test_a_channel_at_255_is_never_chosen_and_none_is_raised_further() -> None:
    towards = torch.ones(3, 10, 10)
    towards[0, 0, :4] = torch.tensor([90.0, 80.0, 70.0, 60.0])
    towards[1, 5, 5:9] = torch.tensor([50.0, 40.0, 30.0, 20.0])
    x = torch.full((3, 10, 10), 100.0)
    x[0, 0, :2] = 255
    x[0, 0, 2], x[0, 0, 3] = 254, 250
    driven = drive(METHOD, job_for(METHOD, x, 8), two_classes(towards, ahead=1e7))
    expected = x.clone()
    expected[0, 0, 2:4] = 255
    expected[1, 5, 5:9] = 108
    assert torch.equal(driven.cloaks[8].image, expected)


def test_the_gradients_asked_for_are_of_the_target_s_logit_and_of_the_sum_of_all() -> None:
    recognizer = SmallRecognizer(input_size=8)
    x = image(side=8)
    logits = mean_logits(x, [recognizer])
    best, runner_up, *_ = ranking(logits)
    driven = drive(METHOD, job_for(METHOD, x, 8, y_true=best), by_autograd(recognizer))
    clean, pair = driven.rounds
    assert [ask.gradient for ask in clean] == [False]
    values = [ask.objective(logits, NOTHING) for ask in pair if ask.objective is not None]
    assert values == [logits[runner_up], logits.sum()]


@pytest.mark.parametrize(("y_true", "target"), [(0, 2), (1, 2), (2, 3), (3, 2)])
def test_the_target_is_the_second_most_probable_class_and_never_the_identity(y_true: int, target: int) -> None:
    """The logits of classes 0, 2, 3, 1 are 9, 7, 5, 3; those of classes but 0 weigh channels of their own."""
    own = torch.zeros(4, 3, 8, 8)
    for label in range(1, 4):
        own[label, 0, label] = 0.001
    own[0] = -1  # so that raising anything lowers the others

    def answer(ask: Ask) -> Answer:
        with torch.enable_grad():
            x = ask.image.clone().requires_grad_(True)
            logits = torch.tensor([9.0, 3.0, 7.0, 5.0]) + (own * (x - 100)).sum(dim=(1, 2, 3)) * 1e-3
            if ask.objective is None:
                return Answer(logits.detach())
            loss = ask.objective(logits, NOTHING)
            return Answer(logits.detach(), gradient=torch.autograd.grad(loss, x)[0])

    x = torch.full((3, 8, 8), 100.0)
    driven = drive(METHOD, job_for(METHOD, x, 1, y_true=y_true), answer)
    _, row, _ = (driven.cloaks[1].image > 100).nonzero().T
    assert row.tolist() == [target] * 2


@pytest.mark.parametrize("classes", [1, 2])
def test_a_probe_without_a_class_to_go_to_is_left_as_it_is(classes: int) -> None:
    """The identity is the only class, or the second of two."""
    x = torch.full((3, 8, 8), 100.0)
    driven = drive(METHOD, job_for(METHOD, x, 8, y_true=classes - 1), lambda ask: Answer(torch.tensor([5.0, 1.0])[:classes]))
    assert len(driven.asks) == 1
    assert torch.equal(driven.cloaks[8].image, x)


def test_the_budgets_of_a_job_are_asked_about_together_and_cost_what_they_cost_alone() -> None:
    recognizer = SmallRecognizer(input_size=12)
    x = image(side=12)
    y_true = ranking(mean_logits(x, [recognizer]))[0]
    together, (model,) = craft_with_all(METHOD, [recognizer], x, [0, 2, 16], y_true=y_true)
    assert model.gradients == 2 * 2 * 4, "two of each of four pairs, for each budget but 0"
    assert np.array_equal(together[0].pixels, levels(x))
    for epsilon, cloak in together.items():
        alone, _ = craft_with_all(METHOD, [recognizer], x, [epsilon], y_true=y_true)
        assert np.array_equal(cloak.pixels, alone[epsilon].pixels)
        expected = (4, 8, 1) if epsilon else (0, 0, 0)
        for effort in (cloak.effort, alone[epsilon].effort):
            assert (effort.n_iter, effort.gradients, effort.forward_passes) == expected
    assert METHOD.cost(0) == Cost()


@pytest.mark.parametrize("seed", range(2))
def test_of_an_ensemble_the_logits_are_the_mean_over_members_of_different_sizes(seed: int) -> None:
    members = [SmallRecognizer(seed=seed, input_size=size) for size in (12, 7)]
    x = image(side=12, seed=seed)
    best, runner_up, *_ = ranking(mean_logits(x, members))
    *_, expected = brute_force(lambda image: mean_logits(image, members), x, 8, runner_up)
    cloaks, models = craft_with_all(METHOD, members, x, [8], y_true=best)
    assert np.array_equal(cloaks[8].pixels, levels(expected))
    assert not np.array_equal(cloaks[8].pixels, levels(x))
    gradients = [model.gradients for model in models]
    assert cloaks[8].effort.gradients == sum(gradients) == 2 * gradients[0]


def pair_of(alpha: Sequence[float], beta: Sequence[float], allowed: Sequence[bool] | None = None) -> list[int]:
    chosen = best_pair(torch.tensor(alpha), torch.tensor(beta), torch.tensor(allowed or [True] * len(alpha)))
    return sorted(chosen.tolist())


def test_the_best_pair_is_that_with_the_largest_product_of_its_sums() -> None:
    assert pair_of([1, 2, 3], [-3, -2, -1]) == [0, 2], "4 x 4 beside 3 x 5 and 5 x 3"
    assert pair_of([5, 1, 4], [-1, -6, -4]) == [1, 2], "5 x 10 beside 6 x 7 and 9 x 5"


def test_a_pair_counts_by_its_sums_even_if_one_of_its_channels_would_not_alone() -> None:
    assert pair_of([3, -1], [-1, -1]) == [0, 1]
    assert pair_of([3, 1], [-2, 1]) == [0, 1]


@pytest.mark.parametrize(
    ("alpha", "beta", "allowed"),
    [
        pytest.param([-1.0, -1, -1], [-1.0, -1, -1], [True] * 3, id="the target's logit falls"),
        pytest.param([1.0, 1, 1], [1.0, 1, 1], [True] * 3, id="the others' rise"),
        pytest.param([1.0, -1], [-2.0, 1], [True] * 2, id="the target's stands still"),
        pytest.param([2.0, -1], [-1.0, 1], [True] * 2, id="the others' stand still"),
        pytest.param([1.0, 1, 1], [-1.0, -1, -1], [False] * 3, id="none allowed"),
        pytest.param([1.0, 1, 1], [-1.0, -1, -1], [True, False, False], id="one allowed"),
    ],
)
def test_there_is_no_pair_where_none_is_eligible(alpha: list[float], beta: list[float], allowed: list[bool]) -> None:
    assert pair_of(alpha, beta, allowed) == []


class LargestTensor(TorchFunctionMode):
    """Elements of the largest tensor that is made."""

    elements = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for each in made if isinstance(made, tuple | list) else [made]:
            if isinstance(each, Tensor):
                self.elements = max(self.elements, each.numel())
        return made


def test_the_pairs_of_the_256_most_salient_channels_alone_are_compared() -> None:
    """A channel whose own saliency is the 257th is in no pair, though all pairs of 160 x 160 pixels would be 5.9e9."""
    channels = 3 * 160 * 160
    alpha, beta = torch.zeros(channels), torch.zeros(channels)
    alpha[1000:1256], beta[1000:1256] = 1.0, -1.0
    alpha[7], beta[7] = 1e-6, -1e5  # of its own 0.1; with another 1e5
    with LargestTensor() as largest:
        pair = best_pair(alpha, beta, torch.ones(channels, dtype=torch.bool))
    assert {1000 <= channel < 1256 for channel in pair.tolist()} == {True}
    assert len(set(pair.tolist())) == 2
    assert largest.elements <= channels
