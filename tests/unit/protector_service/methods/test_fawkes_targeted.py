"""Fawkes with a target beside a script of a page, and whom it takes for the target."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from protector_service.candidates import KnownIdentities
from protector_service.methods.asks import Cost
from protector_service.methods.fawkes_targeted import FawkesTargeted, farthest
from protector_service.methods.method import MethodJob
from recognizers.networks.head import LinearHead
from recognizers.networks.label_set import LabelSet
from tests.support.answering import craft_with_all, levels
from tests.support.feature_cloaks import dssim_of, embedded, image_of, plain_dssim
from tests.support.networks import SmallRecognizer, probe

METHOD = FawkesTargeted()
SIDE = 24


def plain_targeted(x_0: Tensor, recognizer: SmallRecognizer, *, steps: int, seed: int) -> tuple[Tensor, Tensor]:
    """The cloak (3, S, S) and the embedding (D,) of the target, with all classes as candidates."""
    rows = torch.stack([recognizer.head.centroid(place) for place in range(len(recognizer.label_set))])
    phi = embedded(x_0, recognizer)
    t = rows[max(range(len(rows)), key=lambda place: float((rows[place] - phi).norm()))]
    w = torch.atanh((2 * x_0 / 255 - 1) * (1 - 1e-6)).requires_grad_(True)
    optimizer = torch.optim.Adadelta([w], lr=20.0, rho=0.95, eps=1e-7)
    best, smallest = x_0, float("inf")
    for _ in range(steps):
        x = 127.5 * (torch.tanh(w) / (1 - 1e-6) + 1)
        distance = ((embedded(x, recognizer) - t) ** 2).sum() / t.norm()
        dssim = plain_dssim(x, x_0)
        if float(distance.detach()) < smallest and dssim_of(levels(x_0), levels(x.detach())) <= 1.1 * 0.005:
            best, smallest = x.detach(), float(distance.detach())
        optimizer.zero_grad()
        (1e9 * torch.relu(dssim - 0.005) ** 2 + 1000 * distance).backward()
        optimizer.step()
    return best, t


def test_its_cloaks_land_where_a_plain_script_s_do() -> None:
    recognizer, x_0 = SmallRecognizer(input_size=SIDE), image_of(probe(side=SIDE, seed=3))
    expected, target = plain_targeted(x_0, recognizer, steps=25, seed=5)
    cloaks, (model,) = craft_with_all(METHOD.having(n_iter=25), [recognizer], x_0, [], y_true=0, seed=5)

    def to_target(image: Tensor) -> float:
        return float((embedded(image, recognizer) - target).square().sum())

    rounded = image_of(levels(expected))
    assert to_target(rounded) < to_target(x_0)
    assert to_target(image_of(cloaks[0].pixels)) == pytest.approx(to_target(rounded), rel=0.05)
    clean = levels(x_0)
    assert dssim_of(clean, cloaks[0].pixels) == pytest.approx(dssim_of(clean, levels(expected)), rel=0.05)
    assert dssim_of(clean, cloaks[0].pixels) <= 1.1 * 0.005
    assert (model.gradients, model.forward_passes) == (25, 1)


def test_an_ensemble_of_different_sizes_and_label_sets_is_drawn_to_somebody_whom_all_know() -> None:
    recognizers = [SmallRecognizer(seed=1, input_size=SIDE), SmallRecognizer(seed=2, input_size=17, classes=4)]
    x_0 = image_of(probe(side=SIDE))
    cloaks, models = craft_with_all(METHOD.having(n_iter=20), recognizers, x_0, [], y_true=0)
    identities = KnownIdentities({str(place): each.head for place, each in enumerate(recognizers)})
    assert len(identities) == 4
    clean = {str(place): embedded(x_0, each) for place, each in enumerate(recognizers)}
    target = farthest(MethodJob("fawkes-targeted", x_0, (0,), 0, 0, ("0", "1"), identities), clean)
    cloak = image_of(cloaks[0].pixels)

    def to_target(image: Tensor) -> float:
        distances = [(embedded(image, each) - target[str(place)]).square().sum() for place, each in enumerate(recognizers)]
        return float(torch.stack(distances).sum())

    assert to_target(cloak) < to_target(x_0)
    assert [model.gradients for model in models] == [20, 20]


class OnACircle:
    """Candidates at equal angles; the one opposite the first axis is number 50."""

    def __len__(self) -> int:
        return 100

    def centroid(self, model: str, place: int) -> Tensor:
        angle = torch.tensor(2 * torch.pi * place / 100, dtype=torch.float64)
        return torch.stack([angle.cos(), angle.sin()])


def test_the_target_is_the_farthest_of_32_candidates_that_are_drawn_by_the_seed() -> None:
    x_0 = image_of(probe(side=4))
    found = set()
    for seed in range(12):
        job = MethodJob("fawkes-targeted", x_0, (0,), 0, seed, ("a",), OnACircle())
        target = farthest(job, {"a": torch.tensor([1.0, 0.0], dtype=torch.float64)})["a"]
        drawn = job.draws().permutation(100)[:32]
        nearest_to_50 = min(drawn, key=lambda place: abs(place - 50))
        assert float(target[0]) == pytest.approx(float(OnACircle().centroid("a", nearest_to_50)[0]))
        assert torch.equal(target, farthest(replace(job, y_true=1), {"a": torch.tensor([1.0, 0.0]).double()})["a"])
        found.add(tuple(target.tolist()))
    assert len(found) > 2, "another seed draws others"


def test_without_candidates_it_says_what_it_needs() -> None:
    job = MethodJob("fawkes-targeted", image_of(probe(side=4)), (0,), 0)
    with pytest.raises(ValueError, match="expected source models that know somebody in common, got none"):
        farthest(job, {"": torch.tensor([1.0, 0.0])})


def test_a_row_of_a_classifier_s_weights_stands_for_a_class_by_its_direction() -> None:
    head = LinearHead(5, LabelSet(("a", "b")))
    row = head.linear.weight[1].detach()
    assert torch.allclose(head.centroid(1), row / row.norm())


def test_it_costs_a_gradient_a_step_and_one_forward_pass() -> None:
    assert METHOD.cost(0) == Cost(200, 1)
    assert METHOD.budgets((4,)) == (0,)
