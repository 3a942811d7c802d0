"""What a plan says of what a run costs."""

from dataclasses import replace

import pytest

from orchestrator.experiment.grid import Grid
from orchestrator.experiment.method import Cost, Method
from tests.support.plans import BIM, model, plan


def test_a_run_costs_what_each_source_model_does_for_every_subject_method_and_budget() -> None:
    methods = {"bim": BIM, "one-pixel": Method(costs={4: Cost(0, 100), 8: Cost(1, 200), 16: Cost(1000, 1000)})}
    grid = Grid(("facenet", "senet50"), ("resnet50",), ("bim", "one-pixel"), (4, 8), (1,))
    models = {name: model(name) for name in grid.source_models}
    whole = plan(grid=grid, source_models=models, crafting=methods, subjects=3)
    assert whole.max_cost == Cost(gradients=3 * 2 * (5 + 10 + 1), forward_passes=3 * 2 * 300)


@pytest.mark.parametrize("costs", [{}, {4: Cost(5, 0)}])
def test_where_a_cost_is_not_stated_that_of_the_run_is_not_known(costs: dict[int, Cost]) -> None:
    assert plan(crafting={"bim": replace(BIM, costs=costs)}).max_cost is None
