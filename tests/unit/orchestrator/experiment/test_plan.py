"""What a plan says of ensembles and of what a run costs."""

from dataclasses import replace
from typing import Any

import pytest

from orchestrator.experiment.grid import Grid
from orchestrator.experiment.method import Cost, Method
from orchestrator.experiment.plan import caveat_of
from tests.support.plans import BIM, model, plan

TWO = Grid(("facenet+senet50",), ("resnet50",), ("bim",), (4, 8), (1, 5))
SHARED: dict[str, Any] = {"batch_rows": 8, "extraction": "by MTCNN"}
FACENET = model("facenet", input_size=160, checkpoint_sha256="c" * 64, **SHARED)
SENET = model("senet50", input_size=224, checkpoint_sha256="d" * 64, **SHARED)
MODELS = {"facenet": FACENET, "senet50": SENET}


def test_the_card_of_an_ensemble_is_what_its_members_share_and_the_largest_input_size() -> None:
    manifest = plan(grid=TWO, source_models=MODELS).manifest()
    assert manifest["source_models"] == {
        "facenet+senet50": {
            "identities": 7,
            "label_set_sha256": "a" * 64,
            "extraction": "by MTCNN",
            "input_size": 224,
            "members": {"facenet": FACENET.card, "senet50": SENET.card},
        }
    }


def test_what_members_do_not_share_is_no_fact_about_their_ensemble() -> None:
    other = model("senet50", label_set_sha256="b" * 64, input_size=96, extraction="the middle")
    card = plan(grid=TWO, source_models=MODELS | {"senet50": other}).manifest()["source_models"]["facenet+senet50"]
    assert card.keys() == {"identities", "input_size", "members"}
    assert card["input_size"] == 160


def test_a_member_is_part_of_what_a_run_is() -> None:
    before = plan(grid=TWO, source_models=MODELS)
    other = model("senet50", input_size=224, checkpoint_sha256="e" * 64, **SHARED)
    assert plan(grid=TWO, source_models=MODELS | {"senet50": other}).digest() != before.digest()
    assert plan(grid=replace(TWO, source_models=("facenet", "senet50")), source_models=MODELS).digest() != before.digest()


def test_an_ensemble_of_embedded_models_gives_figures_that_are_not_the_paper_s() -> None:
    assert caveat_of({"lens+compact-senet"}, synthetic=False).startswith("embedded recognizers")
    assert caveat_of({"facenet+senet50"}, synthetic=False) == ""


def test_a_run_costs_what_each_member_does_for_every_subject_method_and_budget() -> None:
    methods = {"bim": BIM, "one-pixel": Method(costs={4: Cost(0, 100), 8: Cost(1, 200), 16: Cost(1000, 1000)})}
    grid = Grid(("facenet", "facenet+senet50"), ("resnet50",), ("bim", "one-pixel"), (4, 8), (1,))
    whole = plan(grid=grid, source_models=MODELS, crafting=methods, subjects=2)
    assert whole.max_cost == Cost(gradients=2 * 3 * (5 + 10 + 1), forward_passes=2 * 3 * 300)


@pytest.mark.parametrize("costs", [{}, {4: Cost(5, 0)}])
def test_where_a_cost_is_not_stated_that_of_the_run_is_not_known(costs: dict[int, Cost]) -> None:
    assert plan(crafting={"bim": replace(BIM, costs=costs)}).max_cost is None
