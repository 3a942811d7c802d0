"""What a protector states of a method is taken as it is, or refused for what is wrong with it."""

import pytest
from deid.protector.v1.protector_pb2 import BudgetCost, Method, OwnBudget

from orchestrator.errors import UnusableServiceError
from orchestrator.experiment.method import Cost
from orchestrator.experiment.method import Method as Stated
from orchestrator.services.listed_method import listed_method

EPSILONS = (4, 8)
OWN = OwnBudget(in_words="DSSIM 0.01", largest_change=15)


def test_what_is_stated_is_one_line_each_and_nothing_is_added() -> None:
    method = Method(
        name="bim",
        parameters={"n_iter": "as many\n as needed ", "alpha": "1 level", "start": " "},
        needs_label_set=True,
        costs=[BudgetCost(epsilon=8, gradients=10), BudgetCost(epsilon=4, gradients=5, forward_passes=1)],
    )
    assert listed_method(method, EPSILONS, service="protector") == Stated(
        {"alpha": "1 level", "n_iter": "as many as needed"}, True, {4: Cost(5, 1), 8: Cost(10, 0)}
    )
    assert listed_method(Method(name="bim"), EPSILONS, service="protector") == Stated()


def test_a_budget_of_its_own_and_a_carrier_are_taken_with_the_cost_of_epsilon_0() -> None:
    method = Method(name="fawkes", own_budget=OWN, carrier="gallery", costs=[BudgetCost(epsilon=0, gradients=75)])
    stated = listed_method(method, EPSILONS, service="protector")
    assert stated.own_budget is not None
    assert (stated.own_budget.in_words, stated.own_budget.largest_change) == ("DSSIM 0.01", 15)
    assert (stated.carrier, stated.costs) == ("gallery", {0: Cost(75, 0)})


def test_words_of_500_characters_and_fifty_parameters_are_taken() -> None:
    parameters = {f"{number:0500}": "x" * 500 for number in range(50)}
    assert listed_method(Method(name="bim", parameters=parameters), EPSILONS, service="protector").parameters == parameters


@pytest.mark.parametrize(
    ("method", "problem"),
    [
        pytest.param(Method(own_budget=OwnBudget(largest_change=15)), "got '' and 15", id="its own budget without words"),
        pytest.param(Method(own_budget=OwnBudget(in_words="all", largest_change=256)), "got 'all' and 256", id="beyond 255"),
        pytest.param(Method(own_budget=OwnBudget(in_words="none")), "got 'none' and 0", id="its own budget without a bound"),
        pytest.param(Method(carrier="both"), "the carrier probe or gallery, got 'both'", id="another carrier"),
        pytest.param(
            Method(own_budget=OWN, costs=[BudgetCost(epsilon=4)]), "budgets 0, none twice, got costs of 4", id="no epsilon"
        ),
        pytest.param(
            Method(parameters={str(number): "" for number in range(51)}), "at most 50 parameters, got 51", id="too many"
        ),
        pytest.param(Method(parameters={"alpha": "x" * 501}), "got 'alpha' with 5 and 501", id="too long"),
        pytest.param(Method(parameters={"x" * 501: ""}), "… with 501 and 0", id="a name that is too long"),
        pytest.param(Method(parameters={" ": "1 level"}), "got ' ' with 1 and 7", id="no name"),
        pytest.param(
            Method(costs=[BudgetCost(epsilon=4), BudgetCost(epsilon=16)]),
            "costs of the budgets 4, 8, none twice, got costs of 4, 16",
            id="a budget that was not asked for",
        ),
        pytest.param(
            Method(costs=[BudgetCost(epsilon=4)] * 100),
            "costs of the budgets 4, 8, none twice, got costs of 4, 4, 4",
            id="a budget again and again",
        ),
        pytest.param(
            Method(costs=[BudgetCost(epsilon=4, gradients=-1)]),
            "costs of 0 or more, got -1 gradients and 0 forward passes at budget 4",
            id="negative gradients",
        ),
        pytest.param(
            Method(costs=[BudgetCost(epsilon=8, forward_passes=-2)]),
            "costs of 0 or more, got 0 gradients and -2 forward passes at budget 8",
            id="negative passes",
        ),
    ],
)
def test_a_method_that_states_what_it_must_not_is_refused(method: Method, problem: str) -> None:
    method.name = "blur"
    with pytest.raises(UnusableServiceError) as refused:
        listed_method(method, EPSILONS, service="protector at localhost:1")
    message = str(refused.value)
    assert message.startswith("protector at localhost:1: the method 'blur': expected ")
    assert message.endswith(problem)
    assert len(message) < 400
