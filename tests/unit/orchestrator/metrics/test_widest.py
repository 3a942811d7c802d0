"""The widest interval of a run, found among cells that can be counted by hand."""

from collections.abc import Mapping, Sequence

import pytest

from orchestrator.errors import MetricError
from orchestrator.experiment.grid import Cell, Grid
from orchestrator.metrics.confidence_sequence import confidence_sequence
from orchestrator.metrics.matrix import RankMatrix
from orchestrator.metrics.observation import Observation
from orchestrator.metrics.widest import Widest, widest
from tests.support.cells import paper_cell
from tests.support.observed import Seen, observation, rank_matrix

GRID = Grid(("facenet",), ("resnet50",), ("bim",), (8,), (1, 5))
CONTROL, NOISE, CLOAKED = (paper_cell("facenet", *cloak, "resnet50") for cloak in (("none", 0), ("noise", 8), ("bim", 8)))


def observed(ranks: Mapping[Cell, Sequence[Seen]], *, candidates: int = 10) -> RankMatrix:
    table: list[Observation] = []
    for cell, seen in ranks.items():
        table += [observation(f"{place}", cell, rank, candidates=candidates) for place, rank in enumerate(seen)]
    return rank_matrix(table)


def points(protected: int, n: int) -> float:
    return 100 * confidence_sequence(protected, n).halfwidth


def test_it_is_the_cell_and_the_k_nearest_to_one_half() -> None:
    matrix = observed({CONTROL: [1] * 8, NOISE: [1] * 7 + [2], CLOAKED: [1, 1, 3, 3, 7, 7, 7, 7]})
    assert widest(matrix, GRID) == Widest(CLOAKED, 5, points(4, 8))


def test_a_control_counts_as_any_cell() -> None:
    matrix = observed({CONTROL: [1, 1, 2, 2], NOISE: [1] * 4, CLOAKED: [9] * 4})
    assert widest(matrix, GRID) == Widest(CONTROL, 1, points(2, 4))


def test_a_short_cell_is_as_wide_as_its_own_n_makes_it() -> None:
    matrix = observed({CONTROL: [1] * 9, NOISE: [1] * 3, CLOAKED: [9] * 9})
    assert widest(matrix, GRID) == Widest(NOISE, 1, points(0, 3))


def test_a_cell_that_was_not_observed_is_as_wide_as_can_be() -> None:
    assert widest(observed({CONTROL: [1], CLOAKED: [9]}), GRID) == Widest(NOISE, 1, 50)
    assert widest(observed({}), GRID) == Widest(CONTROL, 1, 50)


def test_of_equal_ones_it_is_the_first_in_the_grid_s_order() -> None:
    matrix = observed({CLOAKED: [9] * 4, NOISE: [1] * 4, CONTROL: [1] * 4})
    assert widest(matrix, GRID)[:2] == (CONTROL, 1)


def test_a_cell_that_the_grid_does_not_have_does_not_count() -> None:
    matrix = observed(
        {CONTROL: [1] * 4, NOISE: [1] * 4, CLOAKED: [9] * 4, paper_cell("senet50", "bim", 8, "resnet50"): [1, 9]}
    )
    assert widest(matrix, GRID).halfwidth == points(0, 4)


def test_a_k_beyond_the_candidates_is_refused() -> None:
    with pytest.raises(MetricError, match="k = 5"):
        widest(observed({CONTROL: [1]}, candidates=4), GRID)
