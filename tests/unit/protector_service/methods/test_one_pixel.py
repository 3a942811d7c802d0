"""The one-pixel attack beside exhaustive search, and differential evolution in plain loops."""

from collections.abc import Callable, Sequence
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from protector_service.methods.asks import Cost
from protector_service.methods.method import MethodJob
from protector_service.methods.one_pixel import OnePixelAttack
from recognizers.networks.recognizer import Recognizer
from tests.support.answering import Driven, by_autograd, craft_with_all, drive, job_for, levels, seen
from tests.support.networks import SmallRecognizer, probe

METHOD = OnePixelAttack()
SMALL = METHOD.having(population=10, generations=6)
Y_TRUE = 1


def image(*, side: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(probe(side=side, seed=seed)).permute(2, 0, 1).double()


def loss_of(x: Tensor, recognizers: Sequence[Recognizer]) -> float:
    """J of an image (3, S, S): the cross-entropy at the true identity, averaged over recognizers."""
    label = torch.tensor([Y_TRUE])
    each = [float(cross_entropy(recognizer.logits(seen(x, recognizer)[None]), label)) for recognizer in recognizers]
    return sum(each) / len(each)


def run(
    method: OnePixelAttack,
    x: Tensor,
    *epsilons: int,
    recognizers: Sequence[Recognizer] = (SmallRecognizer(),),
    seed: int = 0,
) -> Driven:
    return drive(method, job_for(method, x, *epsilons, y_true=Y_TRUE, seed=seed), by_autograd(*recognizers))


def places_changed(x: Tensor, cloak: Tensor) -> int:
    return int((cloak != x).any(dim=0).sum())


def largest_loss(recognizer: Recognizer, x: Tensor, epsilon: int) -> float:
    """The largest J of all images that differ from x in one pixel, by at most epsilon in each channel."""
    changes = torch.tensor(list(product(range(-epsilon, epsilon + 1), repeat=3)), dtype=x.dtype)
    labels = torch.full((len(changes),), Y_TRUE)
    largest = -torch.inf
    for row, column in product(range(x.shape[1]), range(x.shape[2])):
        images = x.repeat(len(changes), 1, 1, 1)
        images[:, :, row, column] = (x[:, row, column] + changes).clamp(0, 255)
        largest = max(largest, float(cross_entropy(recognizer.logits(images), labels, reduction="none").max()))
    return largest


def plain_evolution(method: OnePixelAttack, job: MethodJob, loss: Callable[[Tensor], float]) -> Tensor:
    """The best image for a job's only budget, by Eq. 3 of Su et al. and the job's draws, a number at a time."""
    (epsilon,) = job.epsilons
    side = job.probe.shape[-1]
    size = 5 * method.pixels  # per pixel: row and column of 0..1, three changes of -1..1

    def within(number: float, place: int) -> float:
        if place % 5 < 2:
            return min(max(number, 0.0), 1 - 2**-53)
        return min(max(number, -1.0), 1.0)

    def shown(candidate: Sequence[float]) -> Tensor:
        x = job.probe.clone()
        for first in range(0, size, 5):
            row, column = (int(side * share) for share in candidate[first : first + 2])
            for channel in range(3):
                level = float(job.probe[channel, row, column]) + round(candidate[first + 2 + channel] * epsilon)
                x[channel, row, column] = min(max(level, 0.0), 255.0)
        return x

    drawn = iter(job.draws().uniform(method.population * size).tolist())
    shares = [[next(drawn) for _ in range(size)] for _ in range(method.population)]
    population = [[share if place % 5 < 2 else 2 * share - 1 for place, share in enumerate(each)] for each in shares]
    losses = [loss(shown(each)) for each in population]
    for generation in range(1, method.generations + 1):
        draws = job.draws(step=generation)
        children = []
        for own in range(method.population):
            a, b, c = [population[other] for other in draws.permutation(method.population) if other != own][:3]
            children.append([within(a[place] + 0.5 * (b[place] - c[place]), place) for place in range(size)])
        for own, child in enumerate(children):
            found = loss(shown(child))
            if found > losses[own]:
                population[own], losses[own] = child, found
    return shown(population[losses.index(max(losses))])


@pytest.mark.parametrize("seed", [0, 2])
def test_evolution_finds_95_percent_of_what_exhaustive_search_finds(seed: int) -> None:
    """Of 4 x 4 pixels and 9 levels a channel, 11,664 images, by 2,100 of them."""
    recognizer = SmallRecognizer(seed=seed, input_size=4)
    x = image(side=4, seed=seed)
    cloaks, _ = craft_with_all(METHOD, [recognizer], x, [4], y_true=Y_TRUE, seed=seed)
    found = loss_of(torch.from_numpy(cloaks[4].pixels).permute(2, 0, 1).double(), [recognizer])
    clean, best = loss_of(x, [recognizer]), largest_loss(recognizer, x, 4)
    assert best > clean
    assert 0.95 < (found - clean) / (best - clean) < 1 + 1e-9


@pytest.mark.parametrize("pixels", [1, 3])
def test_it_evolves_as_plain_loops_do(pixels: int) -> None:
    recognizer, x = SmallRecognizer(), image(side=8)
    method = SMALL.having(pixels=pixels)
    job = job_for(method, x, 20, y_true=Y_TRUE, seed=4)
    expected = plain_evolution(method, job, lambda candidate: loss_of(candidate, [recognizer]))
    cloaks, _ = craft_with_all(method, [recognizer], x, [20], y_true=Y_TRUE, seed=4)
    assert np.array_equal(cloaks[20].pixels, levels(expected))
    assert 1 <= places_changed(x, expected) <= pixels


def test_of_an_ensemble_the_loss_is_the_mean_over_members_of_different_sizes() -> None:
    members = [SmallRecognizer(seed=seed, input_size=size) for seed, size in enumerate((8, 5))]
    x = image(side=8)
    expected = plain_evolution(SMALL, job_for(SMALL, x, 40, y_true=Y_TRUE), lambda each: loss_of(each, members))
    cloaks, models = craft_with_all(SMALL, members, x, [40], y_true=Y_TRUE)
    assert np.array_equal(cloaks[40].pixels, levels(expected))
    assert [model.forward_passes for model in models] == [10 * 7] * 2
    assert cloaks[40].effort.forward_passes == 2 * 10 * 7
    alone, _ = craft_with_all(SMALL, members[:1], x, [40], y_true=Y_TRUE)
    assert not np.array_equal(alone[40].pixels, levels(expected))


def test_it_asks_for_no_gradient_and_population_times_one_more_than_generations_forward_passes() -> None:
    cloaks, (model,) = craft_with_all(SMALL, [SmallRecognizer()], image(side=8), [0, 4, 16], y_true=Y_TRUE)
    assert (model.gradients, model.forward_passes) == (0, 2 * 10 * 7), "of two budgets; 0 needs none"
    efforts = {
        epsilon: (each.effort.n_iter, each.effort.gradients, each.effort.forward_passes) for epsilon, each in cloaks.items()
    }
    assert efforts == {0: (0, 0, 0), 4: (6, 0, 70), 16: (6, 0, 70)}
    assert [SMALL.cost(epsilon) for epsilon in (0, 4)] == [Cost(), Cost(forward_passes=70)]
    assert METHOD.cost(4) == Cost(forward_passes=2100)


@pytest.mark.parametrize("pixels", [1, 2, 5])
def test_every_image_asked_about_differs_in_at_most_so_many_pixels_within_the_budget(pixels: int) -> None:
    x = image(side=8)
    x[:, :4], x[:, 4:] = 3, 250
    driven = run(SMALL.having(pixels=pixels), x, 10)
    images = [*(ask.image for ask in driven.asks), driven.cloaks[10].image]
    changed = [places_changed(x, each) for each in images]
    assert max(changed) == pixels
    for each in images:
        assert (each - x).abs().max() <= 10
        assert each.min() >= 0
        assert each.max() <= 255
        assert torch.equal(each, each.round())


def test_a_seed_decides_what_is_found() -> None:
    x = image(side=8)
    first, again, other = (run(SMALL, x, 8, seed=seed) for seed in (1, 1, 2))
    assert all(torch.equal(one.image, two.image) for one, two in zip(first.asks, again.asks, strict=True))
    assert torch.equal(first.cloaks[8].image, again.cloaks[8].image)
    assert not all(torch.equal(one.image, two.image) for one, two in zip(first.asks, other.asks, strict=True))


def test_the_first_candidates_lie_in_the_same_places_whatever_the_budget() -> None:
    x = torch.full((3, 8, 8), 100.0, dtype=torch.float64)
    asks = run(SMALL, x, 20, 40).asks
    smaller, larger = asks[:10], asks[70:80]
    for one, two in zip(smaller, larger, strict=True):
        assert ((two.image - x) - 2 * (one.image - x)).abs().max() <= 1, "rounded"


def test_no_generation_is_worse_than_the_one_before() -> None:
    """The best image after g generations is the best of all asked about so far."""
    recognizer, x = SmallRecognizer(), image(side=8)
    asked = [loss_of(ask.image, [recognizer]) for ask in run(SMALL, x, 16).asks]
    found = [loss_of(run(SMALL.having(generations=g), x, 16).cloaks[16].image, [recognizer]) for g in range(1, 7)]
    assert found == pytest.approx([max(asked[: 10 * (1 + g)]) for g in range(1, 7)], rel=1e-12)
    assert all(before <= after for before, after in pairwise(found))
    assert found[-1] > found[0]


def test_what_is_set_is_stated() -> None:
    assert METHOD.parameters() == {"pixels": "1", "population": "100", "generations": "20"}
    assert SMALL.having(pixels=5).parameters() == {"pixels": "5", "population": "10", "generations": "6"}
    assert METHOD.parameters()["population"] == "100", "the method itself is as it was"
