"""The paper's two methods, worked by hand."""

from collections.abc import Sequence

import torch
from torch import Tensor

from protector_service.methods.asks import Answer, Ask, Cloak, CrossEntropy
from protector_service.methods.bim import BasicIterativeMethod
from protector_service.methods.illc import IterativeLeastLikelyClass, least_likely
from protector_service.methods.method import Method, MethodJob

X = torch.full((3, 1, 1), 5.0)
GRADIENT = torch.tensor([-0.3, 0.0, 1e-30]).view(3, 1, 1)


def first_cloak(method: Method, *, logits: Tensor) -> tuple[list[Ask], Cloak]:
    """What a method asks for one step at budget 1, and its cloak, where every gradient is the same."""
    crafting = method.craft(MethodJob(method.name, X, (1,), y_true=2))
    asked: list[Ask] = []
    came = next(crafting)
    while not isinstance(came, Cloak):
        asks = came if isinstance(came, Sequence) else [came]
        asked += asks
        answers = [Answer(logits=logits, gradient=GRADIENT) for _ in asks]
        came = crafting.send(answers if isinstance(came, Sequence) else answers[0])
    return asked, came


def test_bim_climbs_the_true_class() -> None:
    (ask,), cloak = first_cloak(BasicIterativeMethod(), logits=torch.zeros(4))
    assert ask.objective == CrossEntropy(2)
    assert cloak.image.flatten().tolist() == [4, 5, 6]


def test_illc_descends_the_class_that_is_least_likely_for_the_clean_probe() -> None:
    (clean, step), cloak = first_cloak(IterativeLeastLikelyClass(), logits=torch.tensor([2.0, -1.0, 0.5, -3.0]))
    assert not clean.gradient
    assert torch.equal(clean.image, X)
    assert step.objective == CrossEntropy(3)
    assert cloak.image.flatten().tolist() == [6, 5, 4]


def test_of_classes_that_are_equally_unlikely_the_first_is_taken() -> None:
    assert least_likely(torch.tensor([2.0, -1.0, 0.5, -1.0])) == 1


def test_the_forward_pass_that_illc_begins_with_counts_for_every_cloak() -> None:
    job = MethodJob("illc", X, (0, 1), y_true=2, models=("a", "b"))
    crafting = IterativeLeastLikelyClass().craft(job)
    next(crafting)
    clean = crafting.send(Answer(logits=torch.zeros(4)))
    assert isinstance(clean, Cloak)
    next(crafting)
    cloak = crafting.send([Answer(gradient=GRADIENT)])
    assert isinstance(cloak, Cloak)
    for each, gradients in ((clean, 0), (cloak, 2)):
        assert each.effort is not None
        assert (each.effort.gradients, each.effort.forward_passes) == (gradients, 2)
