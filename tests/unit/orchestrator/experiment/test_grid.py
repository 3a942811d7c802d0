"""The grid is that of the paper."""

from collections import Counter

import pytest

from orchestrator.experiment.carrier import Carrier
from orchestrator.experiment.condition import PAPERS, Condition
from orchestrator.experiment.grid import (
    EPSILONS,
    KS,
    METHODS,
    MODELS,
    CloakKey,
    Grid,
    is_control,
    is_noise,
    network_of,
    noise_of,
)
from tests.support.cells import paper_cell


def test_the_paper_s_grid_has_171_distinct_cells() -> None:
    grid = Grid()
    cells = list(grid.cells())
    assert grid.observations_per_probe == 171
    assert len(cells) == len(set(cells)) == 171
    assert grid.ks == (1, 5, 10, 25, 50)


def test_each_source_model_crafts_one_control_six_noise_controls_and_twelve_cloaks() -> None:
    for source_model in MODELS:
        cloaks = list(Grid().cloaks(source_model))
        assert Counter(cloak.method for cloak in cloaks) == {"none": 1, "noise": 6, "bim": 6, "illc": 6}
        assert {cloak.epsilon for cloak in cloaks if cloak.method == "none"} == {0}
        for method in ("noise", *METHODS):
            assert [cloak.epsilon for cloak in cloaks if cloak.method == method] == [4, 8, 16, 32, 64, 128]


def test_the_defaults_are_the_paper_s() -> None:
    assert MODELS == ("facenet", "resnet50", "senet50")
    assert METHODS == ("bim", "illc")
    assert EPSILONS == (4, 8, 16, 32, 64, 128)
    assert KS == (1, 5, 10, 25, 50)


def test_the_cells_of_a_small_grid_are_every_cloak_by_every_target_model() -> None:
    grid = Grid(("facenet",), ("resnet50", "senet50"), ("bim",), (8,), (1,))
    assert list(grid.cells()) == [
        paper_cell("facenet", "none", 0, "resnet50"),
        paper_cell("facenet", "none", 0, "senet50"),
        paper_cell("facenet", "noise", 8, "resnet50"),
        paper_cell("facenet", "noise", 8, "senet50"),
        paper_cell("facenet", "bim", 8, "resnet50"),
        paper_cell("facenet", "bim", 8, "senet50"),
    ]
    assert grid.observations_per_probe == 6


def test_a_cell_belongs_to_the_cloak_that_is_shown_in_it() -> None:
    assert paper_cell("facenet", "bim", 8, "resnet50").cloak == CloakKey("facenet", "bim", 8)


def test_a_target_model_is_white_box_where_the_cloak_was_crafted_with_it() -> None:
    targets = ("facenet", "net", "resnet50", "senet50")
    for source_model, own in (("facenet", {"facenet"}), ("facenet+senet50", {"facenet", "senet50"})):
        grid = Grid((source_model,), targets, ("bim",), (8,), (1,))
        assert {cell.target_model for cell in grid.cells() if cell.is_white_box} == own


def test_so_is_a_matcher_with_the_features_of_the_classifier_and_the_reverse() -> None:
    assert [network_of(name) for name in ("facenet-features", "facenet", "dlib")] == ["facenet", "facenet", "dlib"]
    targets = ("facenet", "facenet-features", "dlib", "senet50-features")
    own = {"facenet", "facenet-features"}
    for source_model, white in (("facenet", own), ("facenet-features", own), ("dlib+facenet", {*own, "dlib"})):
        grid = Grid((source_model,), targets, ("bim",), (8,), (1,))
        assert {cell.target_model for cell in grid.cells() if cell.is_white_box} == white


MIXED = Grid(("facenet",), ("resnet50",), ("fog", "bim", "gan"), (8, 16), (1,), unbudgeted=("fog", "gan"))


def test_a_method_with_a_budget_of_its_own_runs_once_with_a_noise_control_of_its_own() -> None:
    cloaks = [(cloak.method, cloak.epsilon) for cloak in MIXED.cloaks("facenet")]
    assert cloaks == [
        ("none", 0),
        *(("noise", 8), ("noise", 16), ("noise:fog", 0), ("noise:gan", 0)),
        *(("fog", 0), ("bim", 8), ("bim", 16), ("gan", 0)),
    ]
    assert MIXED.observations_per_probe == 9
    assert MIXED.all_budgets == (8, 16, 0)
    assert Grid.from_stated(MIXED.stated()) == MIXED


def test_without_a_method_that_has_epsilons_there_is_no_noise_of_any() -> None:
    grid = Grid(("elsewhere",), ("resnet50",), ("fog", "gan"), (), (1,), unbudgeted=("fog", "gan"), without_noise=("gan",))
    assert [cloak.method for cloak in grid.cloaks("elsewhere")] == ["none", "noise:fog", "fog", "gan"]
    assert (grid.budgeted, grid.all_budgets, grid.budgets("fog"), grid.budgets("noise:fog")) == ((), (0,), (0,), (0,))


def test_the_grid_of_methods_with_epsilons_is_that_without_the_others() -> None:
    assert MIXED.with_epsilons() == Grid(("facenet",), ("resnet50",), ("bim",), (8, 16), (1,))


@pytest.mark.parametrize(
    ("method", "epsilon", "noise"),
    [
        ("bim", 8, "noise"),
        ("fog", 0, "noise:fog"),
        ("noise:fog", 0, "noise:fog"),
        ("noise", 8, "noise"),
        ("none", 0, "noise"),
    ],
)
def test_the_noise_of_a_cell_is_that_of_its_size(method: str, epsilon: int, noise: str) -> None:
    cell = paper_cell("facenet", method, epsilon, "resnet50")
    assert cell.noise == paper_cell("facenet", noise, epsilon, "resnet50")
    assert cell.control == paper_cell("facenet", "none", 0, "resnet50")


def test_controls_are_told_from_methods_whose_names_begin_alike() -> None:
    noises = {"noise", noise_of("fog")}
    names = (*noises, "none", "bim", "noises", "noise-like")
    assert {name for name in names if is_noise(name)} == noises
    assert {name for name in names if is_control(name)} == {*noises, "none"}


def test_conditions_that_enrol_cloaks_are_read_by_matchers_alone() -> None:
    in_gallery = Condition.parse("jpeg:95/gallery")
    grid = Grid(
        ("facenet",), ("dlib", "resnet50"), ("bim",), (8,), (1,), conditions=(PAPERS, in_gallery), enrolling=("dlib",)
    )
    assert grid.readers(PAPERS) == ("dlib", "resnet50")
    assert grid.readers(in_gallery) == ("dlib",)
    assert grid.observations_per_probe == len(list(grid.cells())) == 3 * (2 + 1)
    assert {cell.target_model for cell in grid.cells() if cell.condition == in_gallery} == {"dlib"}
    assert grid.carried_by(Carrier.GALLERY, Carrier.BOTH) == (in_gallery,)
    assert grid.condition == PAPERS
    assert Grid.from_stated(grid.stated()) == grid
