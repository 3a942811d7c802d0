"""A method with a budget of its own is held against the largest change that it states."""

import re

import numpy as np
import pytest
import torch

from protector_service.job import finished_cloak
from protector_service.methods.asks import Cloak, Cost, Crafting, Effort
from protector_service.methods.method import BrokenMethodError, Method, MethodJob, OwnBudget
from protector_service.registry import accept_method
from recognizers.plugins import PluginError

PHOTO = np.full((12, 12, 3), 100, dtype=np.uint8)


class Brighter(Method):
    """Adds four levels."""

    name = "brighter"
    description = "Adds four levels."
    needs_label_set = False
    own_budget = OwnBudget("four levels more", 4)

    def cost(self, epsilon: int) -> Cost:
        return Cost()

    def craft(self, job: MethodJob) -> Crafting:
        yield Cloak(0, (job.probe + 4).clamp(max=255))


def image(change: float) -> torch.Tensor:
    return torch.full((3, 12, 12), 100.0 + change)


def test_it_is_accepted_with_one_budget_of_0() -> None:
    method = accept_method("brighter", Brighter)
    assert method.budgets((1, 8)) == method.budgets(()) == (0,)


@pytest.mark.parametrize("change", [-4.0, 4.4, 0.0])
def test_a_cloak_within_the_largest_change_leaves(change: float) -> None:
    cloak = finished_cloak(Brighter(), PHOTO, image(change), epsilon=0, effort=Effort())
    assert (cloak.epsilon, cloak.largest_change) == (0, round(abs(change)))


@pytest.mark.parametrize("change", [-5.0, 4.6])
def test_one_beyond_it_does_not(change: float) -> None:
    with pytest.raises(BrokenMethodError, match="brighter: expected changes of at most 4 levels, got 5"):
        finished_cloak(Brighter(), PHOTO, image(change), epsilon=0, effort=Effort())


@pytest.mark.parametrize(
    "budget", [OwnBudget("", 4), OwnBudget("x" * 501, 4), OwnBudget("none", 0), OwnBudget("more", 256)], ids=repr
)
def test_a_budget_that_the_protocol_has_no_room_for_is_refused(budget: OwnBudget) -> None:
    class Odd(Brighter):
        own_budget = budget

    with pytest.raises(PluginError, match=re.escape("expected Odd.own_budget to have a text of 1..500 characters and")):
        accept_method("brighter", Odd)


def test_a_carrier_that_there_is_not_is_refused() -> None:
    class Odd(Brighter):
        carrier = "both"

    with pytest.raises(PluginError, match=r"expected Odd\.carrier to be probe or gallery, got 'both'"):
        accept_method("brighter", Odd)


def test_a_method_that_leaves_its_own_budget_in_the_trial_is_refused() -> None:
    class Brightest(Brighter):
        own_budget = OwnBudget("three levels more", 3)

    with pytest.raises(BrokenMethodError, match="expected changes of at most 3 levels, got 4"):
        accept_method("brighter", Brightest)
