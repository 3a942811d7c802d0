"""Obfuscation and impersonation counted one by one, and methods compared on the same pairs."""

import numpy as np
import pytest

from orchestrator.experiment.condition import LOSSLESS, Condition
from orchestrator.experiment.grid import CONTROL, Cell, Grid
from orchestrator.metrics.matrix import BEYOND, MISSING, NO_FACE, NOT_ENROLLED, RankMatrix
from orchestrator.metrics.verification import Claim, Verification, methods_compared, verifications

ACCEPTED, T = 1, "fmr:0.01"
TARGET = LOSSLESS.towards_target
GRID = Grid(("a",), ("b",), ("bim", "pgd"), (8,), (1,), (LOSSLESS, TARGET))


def cell(method: str, epsilon: int = 8, condition: Condition = LOSSLESS) -> Cell:
    return Cell("a", method, epsilon, condition, "b")


def matrix(**rows: list[int]) -> RankMatrix:
    """By method, or by `to_METHOD` of comparisons with targets, what became of each pair."""
    cells = [
        cell(
            name.removeprefix("to_"),
            0 if name.endswith(CONTROL) else 8,
            TARGET if name.startswith("to_") else LOSSLESS,
        )
        for name in rows
    ]
    ranks = list(rows.values())
    placed = np.array([(row, column, rank) for row, each in enumerate(ranks) for column, rank in enumerate(each)])
    return RankMatrix.placed(cells, [f"{number}/0.jpg" for number in range(len(ranks[0]))], placed, candidates=1)


def found(of: RankMatrix) -> dict[Cell, Verification]:
    return {each.cell: each for each in verifications({T: of})}


def test_who_is_not_accepted_is_obfuscated_and_who_is_accepted_as_the_target_impersonates() -> None:
    outcomes = [ACCEPTED, BEYOND, NO_FACE, NOT_ENROLLED, MISSING]
    results = found(matrix(bim=outcomes, to_bim=outcomes))
    own, other = results[cell("bim")], results[cell("bim", condition=TARGET)]
    assert (own.claim, other.claim) == (Claim.OBFUSCATION, Claim.IMPERSONATION)
    assert own.success is not None
    assert other.success is not None
    assert (own.success.successes, own.success.n) == (2, 3)  # without a face nobody is accepted
    assert (other.success.successes, other.success.n) == (1, 3)
    assert [(each.not_enrolled, each.detected and each.detected.successes) for each in (own, other)] == [(1, 2), (1, 2)]


def test_differences_are_over_the_pairs_that_were_compared_in_both() -> None:
    results = found(matrix(none=[ACCEPTED, ACCEPTED, BEYOND, MISSING], bim=[BEYOND, NOT_ENROLLED, BEYOND, BEYOND]))
    bim = results[cell("bim")]
    assert bim.control is not None
    assert (bim.control.successes, bim.control.n) == (1, 3)
    assert bim.minus_control is not None
    assert (bim.minus_control.counts.n, bim.minus_control.points) == (2, 50.0)
    assert bim.minus_noise is None


def test_where_nobody_could_be_enrolled_there_is_no_figure() -> None:
    only = found(matrix(bim=[NOT_ENROLLED, NOT_ENROLLED]))[cell("bim")]
    assert (only.success, only.detected, only.minus_control, only.not_enrolled) == (None, None, None, 2)


def test_methods_are_compared_on_the_same_pairs_and_corrected_for_being_many() -> None:
    no, yes = BEYOND, ACCEPTED
    rows = matrix(bim=[no] * 6 + [yes], pgd=[yes] * 6 + [yes], to_bim=[no] * 7, to_pgd=[no] * 7)
    first, second = methods_compared({T: rows}, GRID)
    assert (first.cell, first.second) == (cell("bim"), "pgd")
    assert (first.difference.counts.first_only, first.difference.counts.second_only) == (6, 0)
    assert first.p == pytest.approx(2 / 2**6)
    assert first.adjusted_p == pytest.approx(2 * 2 / 2**6)  # of two comparisons
    assert (second.p, second.adjusted_p) == (1.0, 1.0)
