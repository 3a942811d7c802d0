"""The grid is that of the paper."""

from collections import Counter

from orchestrator.experiment.grid import EPSILONS, KS, METHODS, MODELS, CloakKey, Grid
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
