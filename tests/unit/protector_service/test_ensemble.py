"""Several source models as one, whose loss is the mean of theirs."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, interpolate

from protector_service.batched_model import BatchedModel
from protector_service.engine import Engine
from protector_service.ensemble import views_of
from protector_service.job import CraftJob, FinishedCloak, image_of
from protector_service.methods.asks import Answer, Ask, Cloak, Cost, Crafting, CrossEntropy
from protector_service.methods.illc import least_likely
from protector_service.methods.method import BrokenMethodError, MethodJob
from protector_service.methods.trajectory import clip, iterations
from tests.support.engines import METHODS, ScriptedMethod
from tests.support.networks import SmallRecognizer, probe

CPU, DOUBLE = torch.device("cpu"), torch.float64
MEMBERS = {
    "a": SmallRecognizer(seed=1, input_size=6),
    "b": SmallRecognizer(seed=2, input_size=10),
    "c": SmallRecognizer(seed=3, input_size=7),
}
PHOTO = probe(side=10)


@contextmanager
def ensemble_of(members: dict[str, SmallRecognizer]) -> Iterator[Engine]:
    engine = Engine({name: BatchedModel(each, batch_rows=2, dtype=DOUBLE) for name, each in members.items()})
    try:
        yield engine
    finally:
        engine.close()


def job(
    *methods: str | ScriptedMethod, members: tuple[str, ...] = ("a", "b", "c"), epsilons: tuple[int, ...] = (3,)
) -> CraftJob:
    chosen = tuple(METHODS[method] if isinstance(method, str) else method for method in methods)
    return CraftJob(members, PHOTO, 1, chosen, epsilons)


def answers_to(*asks: Ask, members: dict[str, SmallRecognizer] = MEMBERS) -> list[Answer]:
    """What a method is answered that asks of all members of an ensemble."""
    came: list[Answer] = []

    def craft(job: MethodJob) -> Crafting:
        for ask in asks:
            answer: Answer = yield ask
            came.append(answer)
        for epsilon in job.epsilons:
            yield Cloak(epsilon, job.probe)

    method = ScriptedMethod(craft, cost=lambda _: Cost(gradients=9, forward_passes=9))
    with ensemble_of(members) as engine:
        list(engine.craft(job(method, members=tuple(members))))
    return came


def image() -> Tensor:
    return image_of(PHOTO, device=CPU, dtype=DOUBLE)


def seen_by(member: SmallRecognizer, x: Tensor) -> Tensor:
    """An image (3, S, S) at a member's input size, as PyTorch resamples it."""
    return interpolate(x[None], size=member.input_size, mode="bilinear", antialias=True)


def test_who_has_the_largest_input_size_sees_the_image_itself() -> None:
    views = views_of({"small": 6, "large": 10, "as large": 10}, shape=(10, 10), device=CPU, dtype=DOUBLE)
    x = image()
    assert [view.model for view in views] == ["small", "large", "as large"]
    assert [view.image(x) is x for view in views] == [False, True, True]


def test_the_gradient_is_that_of_the_mean_of_the_losses_through_the_resampling() -> None:
    x = image().requires_grad_(True)
    losses = [cross_entropy(member.logits(seen_by(member, x)), torch.tensor([4])) for member in MEMBERS.values()]
    (gradient,) = torch.autograd.grad(torch.stack(losses).mean(), x)
    with torch.no_grad():
        log_probabilities = [member.logits(seen_by(member, x)).log_softmax(1)[0] for member in MEMBERS.values()]
    for answer in answers_to(Ask(image(), CrossEntropy(4)), Ask(image(), CrossEntropy(4), gradient=False)):
        torch.testing.assert_close(answer.loss, torch.stack(losses).mean().detach())
        torch.testing.assert_close(answer.logits, torch.stack(log_probabilities).mean(0))
        assert not answer.features.numel(), "members have features of their own"
        if answer.gradient.numel():
            torch.testing.assert_close(answer.gradient, gradient)


@pytest.mark.parametrize("name", MEMBERS)
def test_one_member_can_be_asked_by_name(name: str) -> None:
    member = MEMBERS[name]
    x = image().requires_grad_(True)
    seen = seen_by(member, x)
    loss = cross_entropy(member.logits(seen), torch.tensor([4]))
    (gradient,) = torch.autograd.grad(loss, x)
    (answer,) = answers_to(Ask(image(), CrossEntropy(4), model=name))
    torch.testing.assert_close(answer.gradient, gradient)
    torch.testing.assert_close(answer.loss, loss.detach())
    torch.testing.assert_close(answer.logits, member.logits(seen)[0].detach())
    torch.testing.assert_close(answer.features, member.features(seen)[0].detach())


def joint_gradient(x: Tensor, label: int) -> Tensor:
    x = x.detach().requires_grad_(True)
    losses = [cross_entropy(member.logits(seen_by(member, x)), torch.tensor([label])) for member in MEMBERS.values()]
    (gradient,) = torch.autograd.grad(torch.stack(losses).mean(), x)
    return gradient


@pytest.mark.parametrize(("method", "epsilon"), [("bim", 5), ("illc", 5)])
def test_a_cloak_of_an_ensemble_is_what_the_equation_says_of_the_mean_loss(method: str, epsilon: int) -> None:
    x_0 = image()
    log_probabilities = torch.stack([member.logits(seen_by(member, x_0)).log_softmax(1)[0] for member in MEMBERS.values()])
    y_llc = least_likely(log_probabilities.mean(0))
    label, sign = (1, +1) if method == "bim" else (y_llc, -1)
    x = x_0
    for _ in range(iterations(epsilon)):
        x = clip(x + sign * joint_gradient(x, label).sign(), x_0, epsilon)
    (cloak,) = crafted(method, epsilons=(epsilon,))
    assert np.array_equal(cloak.pixels, x.permute(1, 2, 0).numpy())


def crafted(method: str, *, members: tuple[str, ...] = ("a", "b", "c"), epsilons: tuple[int, ...]) -> list[FinishedCloak]:
    with ensemble_of(MEMBERS) as engine:
        return list(engine.craft(job(method, members=members, epsilons=epsilons)))


def test_the_least_likely_class_is_that_of_the_mean_and_no_single_member_s() -> None:
    """Or else the test above would not tell them apart."""
    x = image()
    log_probabilities = torch.stack([member.logits(seen_by(member, x)).log_softmax(1)[0] for member in MEMBERS.values()])
    own = {least_likely(each) for each in log_probabilities}
    assert len(own | {least_likely(log_probabilities.mean(0))}) > 1


@pytest.mark.parametrize("members", [("b",), ("a", "b"), ("a", "b", "c")])
def test_effort_counts_every_member(members: tuple[str, ...]) -> None:
    cloaks = crafted("illc", members=members, epsilons=(2, 4))
    efforts = [(cloak.effort.n_iter, cloak.effort.gradients, cloak.effort.forward_passes) for cloak in cloaks]
    assert [n_iter for n_iter, _, _ in efforts] == [2, 5]
    assert [gradients for _, gradients, _ in efforts] == [2 * len(members), 5 * len(members)]
    assert [forward_passes for _, _, forward_passes in efforts] == [len(members)] * 2


def test_what_a_method_does_not_count_itself_is_counted_for_it() -> None:
    def craft(job: MethodJob) -> Crafting:
        yield [Ask(job.probe, CrossEntropy(1)), Ask(job.probe, gradient=False)]
        yield Cloak(job.epsilons[0], job.probe)
        yield Ask(job.probe, CrossEntropy(1), model="b")
        yield Ask(job.probe, CrossEntropy(1), gradient=False, model="b")
        yield Cloak(job.epsilons[1], job.probe)

    with ensemble_of(MEMBERS) as engine:
        method = ScriptedMethod(craft, cost=lambda _: Cost(gradients=3, forward_passes=3))
        first, second = engine.craft(job(method, epsilons=(1, 2)))
    assert (first.effort.n_iter, first.effort.gradients, first.effort.forward_passes) == (1, 3, 3)
    assert (second.effort.n_iter, second.effort.gradients, second.effort.forward_passes) == (1, 1, 1)


OTHER_LABELS = {"a": SmallRecognizer(seed=1, input_size=6), "b": SmallRecognizer(seed=2, input_size=10, classes=5)}


def test_members_with_other_label_sets_have_no_joint_logits_and_can_be_followed_by_their_features() -> None:
    def spread(logits: Tensor, features: Tensor) -> Tensor:
        return features.var()

    (answer,) = answers_to(Ask(image(), spread), members=OTHER_LABELS)
    x = image().requires_grad_(True)
    values = [member.features(seen_by(member, x))[0].var() for member in OTHER_LABELS.values()]
    (gradient,) = torch.autograd.grad(torch.stack(values).mean(), x)
    torch.testing.assert_close(answer.gradient, gradient)
    assert not answer.logits.numel()


@pytest.mark.parametrize("label", [4, 5])
def test_a_label_is_one_of_the_smallest_label_set(label: int) -> None:
    """One beyond it would end the process on a GPU."""
    if label < 5:
        assert len(answers_to(Ask(image(), CrossEntropy(label)), members=OTHER_LABELS)) == 1
    else:
        with pytest.raises(BrokenMethodError, match=r"expected a class of 0\.\.4, got 5"):
            answers_to(Ask(image(), CrossEntropy(label)), members=OTHER_LABELS)


def test_the_cost_of_an_ensemble_is_that_of_all_members() -> None:
    """Twice the cost and 16 more of each, so that a method that goes on for ever is ended here too."""

    def craft(job: MethodJob) -> Crafting:
        while True:
            yield Ask(job.probe, CrossEntropy(1))

    method = ScriptedMethod(craft, cost=lambda _: Cost(gradients=2))
    with ensemble_of(MEMBERS) as engine, pytest.raises(BrokenMethodError, match=r"at most 60 gradients .* got 63 and 0"):
        list(engine.craft(job(method)))
