"""BIM against ILLC on tables counted by hand, with SciPy's and statsmodels' p values."""

import pytest
from scipy.stats import binomtest
from statsmodels.stats.multitest import multipletests

from orchestrator.errors import MetricError
from orchestrator.experiment.grid import Grid
from orchestrator.metrics.intervals import PairedCounts
from orchestrator.metrics.observation import Observation
from orchestrator.metrics.paired_methods import compare_methods
from tests.support.cells import paper_cell
from tests.support.observed import BEYOND, observation, observations, rank_matrix

GRID = Grid(("facenet",), ("resnet50", "senet50"), ("bim", "illc"), (4, 8), (1, 5))


def pairs(epsilon: int, target_model: str, *, bim_only: int, illc_only: int, both: int) -> list[Observation]:
    table = []
    for place in range(bim_only + illc_only + both):
        of_bim = BEYOND if place < bim_only or place >= bim_only + illc_only else 1
        of_illc = BEYOND if place >= bim_only else 1
        table += [
            observation(f"{place}", paper_cell("facenet", "bim", epsilon, target_model), of_bim),
            observation(f"{place}", paper_cell("facenet", "illc", epsilon, target_model), of_illc),
        ]
    return table


TABLE = [
    *pairs(8, "resnet50", bim_only=8, illc_only=1, both=3),
    *pairs(4, "resnet50", bim_only=0, illc_only=6, both=0),
    *pairs(8, "senet50", bim_only=3, illc_only=3, both=3),
]


def test_every_cell_has_its_counts_its_p_and_holm_s_over_the_cells() -> None:
    found = compare_methods(rank_matrix(TABLE), GRID, k=1)
    assert [(one.cell, one.k) for one in found] == [
        (paper_cell("facenet", "bim", 4, "resnet50"), 1),
        (paper_cell("facenet", "bim", 8, "resnet50"), 1),
        (paper_cell("facenet", "bim", 8, "senet50"), 1),
    ]
    assert [one.difference.counts for one in found] == [
        PairedCounts(0, 0, 6, 0),
        PairedCounts(3, 8, 1, 0),
        PairedCounts(3, 3, 3, 0),
    ]
    expected = [binomtest(0, 6).pvalue, binomtest(8, 9).pvalue, 1.0]
    assert [one.p for one in found] == pytest.approx(expected)
    assert [one.adjusted_p for one in found] == pytest.approx(list(multipletests(expected, method="holm")[1]))


def test_exchanging_the_methods_turns_the_sign_and_keeps_p() -> None:
    matrix = rank_matrix(TABLE)
    forth, back = compare_methods(matrix, GRID, k=1), compare_methods(matrix, GRID, k=1, first="illc", second="bim")
    assert [one.difference.points for one in back] == [-one.difference.points for one in forth]
    assert [one.p for one in back] == [one.p for one in forth]


def test_only_probes_observed_with_both_methods_are_pairs() -> None:
    table = [
        *observations(paper_cell("facenet", "bim", 4, "resnet50"), a=BEYOND, b=1, c=1),
        *observations(paper_cell("facenet", "illc", 4, "resnet50"), a=1, b=1, d=BEYOND),
    ]
    (found,) = compare_methods(rank_matrix(table), GRID, k=1)
    assert found.difference.counts == PairedCounts(0, 1, 0, 1)


def test_a_grid_without_one_of_the_methods_has_no_comparison() -> None:
    alone = Grid(GRID.source_models, GRID.target_models, ("bim",), GRID.epsilons, GRID.ks)
    assert compare_methods(rank_matrix(TABLE), alone, k=1) == []


def test_nothing_observed_compares_to_nothing() -> None:
    assert compare_methods(rank_matrix([]), GRID, k=1) == []


def test_a_k_that_was_not_asked_for_is_refused() -> None:
    with pytest.raises(MetricError, match=r"k = 11: expected 1\.\.10"):
        compare_methods(rank_matrix(TABLE), GRID, k=11)
