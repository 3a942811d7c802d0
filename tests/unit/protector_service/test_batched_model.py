"""Asks of different jobs, methods and objectives share a batch, and none can tell."""

import itertools
import random
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from protector_service.batched_model import BatchedModel, BrokenObjectiveError
from protector_service.job import image_of
from protector_service.methods.asks import Answer, Ask, CrossEntropy, FeatureDistance, Objective
from tests.support.networks import SmallRecognizer, probe

ROWS = 4
RECOGNIZER = SmallRecognizer(dtype=torch.float32)
TARGET = torch.linspace(-1, 1, 6 * 6 * 6)


def mixed(logits: Tensor, features: Tensor) -> Tensor:
    return logits[2] - logits.logsumexp(0) + features.square().mean()


def none_at_all(logits: Tensor, features: Tensor) -> Tensor:
    raise ZeroDivisionError("no objective")


OBJECTIVES: tuple[Objective, ...] = (CrossEntropy(1), CrossEntropy(5), FeatureDistance(TARGET), mixed, none_at_all)


def model_of(recognizer: SmallRecognizer = RECOGNIZER, *, rows: int = ROWS, fixed: bool = True) -> BatchedModel:
    return BatchedModel(recognizer, batch_rows=rows, fixed=fixed)


def image(seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return image_of(probe(side=8, seed=seed), device=torch.device("cpu"), dtype=dtype) + 0.25


def answered(answer: Answer | Exception) -> Answer:
    assert isinstance(answer, Answer)
    return answer


def assert_same(one: Answer | Exception, other: Answer | Exception) -> None:
    if isinstance(one, Exception):
        assert type(one) is type(other)
        return
    other = answered(other)
    for name in ("logits", "features", "loss", "gradient"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name


@pytest.mark.parametrize("gradient", [True, False])
def test_every_answer_is_bit_for_bit_what_it_is_alone_whoever_shares_the_batch(gradient: bool) -> None:
    model = model_of()
    asks = [Ask(image(seed), objective, gradient) for seed, objective in enumerate(OBJECTIVES * 2)]
    if not gradient:
        asks.append(Ask(image(77), gradient=False))
    alone = {ask: model.answers([ask])[0] for ask in asks}
    assert sum(isinstance(answer, ZeroDivisionError) for answer in alone.values()) == 2
    shuffling = random.Random(0)
    for size in (2, 3, 4) * 7:
        together = shuffling.sample(asks, size)
        for ask, answer in zip(together, model.answers(together), strict=True):
            assert_same(answer, alone[ask])


@pytest.mark.parametrize("objective", OBJECTIVES[:-1], ids=["label 1", "label 5", "features", "mixed"])
def test_answers_are_what_autograd_says(objective: Objective) -> None:
    recognizer = SmallRecognizer()
    if isinstance(objective, FeatureDistance):
        objective = FeatureDistance(TARGET.double())
    x = image(3, torch.float64).requires_grad_(True)
    features = recognizer.features(x[None])
    logits = recognizer.head(features)
    loss = (
        cross_entropy(logits, torch.tensor([objective.label]))
        if isinstance(objective, CrossEntropy)
        else objective(logits[0], features[0])
    )
    (gradient,) = torch.autograd.grad(loss, x)
    expected = Answer(logits[0].detach(), features[0].detach(), loss.detach(), gradient)
    neighbours = [Ask(image(seed, torch.float64), CrossEntropy(0)) for seed in (8, 9)]
    answer = answered(model_of(recognizer).answers([neighbours[0], Ask(x.detach(), objective), neighbours[1]])[1])
    for name in ("logits", "features", "loss", "gradient"):
        torch.testing.assert_close(getattr(answer, name), getattr(expected, name), rtol=1e-12, atol=1e-12)


def test_forward_asks_have_no_gradient_and_what_was_not_asked_for_is_empty() -> None:
    plain, valued = map(answered, model_of().answers([Ask(image(0), gradient=False), Ask(image(0), mixed, gradient=False)]))
    assert plain.logits.shape == (7,)
    assert plain.features.shape == (216,)
    assert plain.loss.numel() == plain.gradient.numel() == valued.gradient.numel() == 0
    assert valued.loss.shape == ()
    assert torch.equal(valued.loss, mixed(valued.logits, valued.features))


@pytest.mark.parametrize("gradient", [True, False])
def test_an_answer_owns_its_memory_and_no_graph(gradient: bool) -> None:
    """A view of the batch would keep the batch for as long as a method keeps the answer."""
    for answer in map(answered, model_of().answers([Ask(image(seed), mixed, gradient) for seed in range(3)])):
        for tensor in (answer.logits, answer.features, answer.loss, answer.gradient):
            assert tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
            assert not tensor.requires_grad


class ByPixels(SmallRecognizer):
    """Takes channels last, as prepared networks do."""

    def features(self, images: Tensor) -> Tensor:
        return super().features(images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2))


def test_a_gradient_keeps_the_layout_that_it_came_in() -> None:
    """Sums over it, such as momentum's, are rounded in the order of its elements in memory."""
    for recognizer in (SmallRecognizer(), ByPixels()):
        images = torch.stack([image(seed, torch.float64) for seed in range(ROWS)]).requires_grad_(True)
        labels = torch.zeros(ROWS, dtype=torch.int64)
        (gradients,) = torch.autograd.grad(cross_entropy(recognizer.logits(images), labels, reduction="sum"), images)
        asks = [Ask(each, CrossEntropy(0)) for each in images.detach()]
        for answer, gradient in zip(model_of(recognizer).answers(asks), gradients, strict=True):
            assert answered(answer).gradient.stride() == gradient.stride()
    assert not gradients[0].is_contiguous()


@dataclass(frozen=True)
class Doubled(CrossEntropy):
    """Computes otherwise than what it derives from."""

    def __call__(self, logits: Tensor, features: Tensor) -> Tensor:
        return 2 * super().__call__(logits, features)


def test_what_derives_from_the_cross_entropy_computes_what_it_says() -> None:
    once, twice = map(answered, model_of().answers([Ask(image(0), CrossEntropy(1)), Ask(image(0), Doubled(1))]))
    torch.testing.assert_close(twice.loss, 2 * once.loss)
    torch.testing.assert_close(twice.gradient, 2 * once.gradient)


def test_a_batch_of_failing_objectives_has_a_reason_for_each() -> None:
    asks = [Ask(image(0), none_at_all), Ask(image(1), lambda logits, _: logits), Ask(image(2), none_at_all)]
    assert [type(answer) for answer in model_of().answers(asks)] == [
        ZeroDivisionError,
        BrokenObjectiveError,
        ZeroDivisionError,
    ]


@pytest.mark.parametrize("fixed", [True, False])
def test_gradients_and_forward_passes_are_counted_without_the_padding(fixed: bool) -> None:
    model = model_of(fixed=fixed)
    model.answers([Ask(image(0), CrossEntropy(0))])
    model.answers([Ask(image(seed), gradient=False) for seed in range(3)])
    assert (model.gradients, model.forward_passes) == (1, 3)


def test_batches_have_one_shape_where_they_are_fixed() -> None:
    shapes: set[int] = set()

    class Watched(SmallRecognizer):
        def features(self, images: Tensor) -> Tensor:
            shapes.add(len(images))
            return super().features(images)

    for fixed, expected in ((True, {ROWS}), (False, {1, 4})):
        shapes.clear()
        model = model_of(Watched(dtype=torch.float32), fixed=fixed)
        for count, gradient in itertools.product((1, 4), (True, False)):
            model.answers([Ask(image(seed), CrossEntropy(0), gradient) for seed in range(count)])
        assert shapes == expected


@pytest.mark.parametrize("gradient", [True, False])
def test_an_ask_with_a_head_of_its_own_shares_a_batch_and_neither_changes_the_other(gradient: bool) -> None:
    model = model_of()
    others = [SmallRecognizer(seed=classes, classes=classes, dtype=torch.float32) for classes in (3, 9)]
    objectives: tuple[Objective, ...] = (CrossEntropy(1), mixed)
    asks = [
        Ask(image(place), objective, gradient, head=head)
        for place, (head, objective) in enumerate(
            (head, objective) for head in (None, *(other.head for other in others)) for objective in objectives
        )
    ]
    alone = [answered(model.answers([ask])[0]) for ask in asks]
    assert [len(answer.logits) for answer in alone] == [7, 7, 3, 3, 9, 9]
    for batch in itertools.combinations(range(len(asks)), ROWS):
        for place, answer in zip(batch, model.answers([asks[place] for place in batch]), strict=True):
            assert_same(alone[place], answer)


def test_an_ask_with_a_head_of_its_own_is_answered_as_by_a_model_whose_own_head_it_is() -> None:
    other = SmallRecognizer(dtype=torch.float64)
    other.head = SmallRecognizer(seed=3, classes=5, dtype=torch.float64).head
    asked = Ask(image(0, torch.float64), CrossEntropy(4))
    (expected,) = model_of(other).answers([asked])
    (answer,) = model_of(SmallRecognizer(dtype=torch.float64)).answers([replace(asked, head=other.head)])
    for name in ("logits", "features", "loss", "gradient"):
        torch.testing.assert_close(getattr(answered(answer), name), getattr(answered(expected), name))
