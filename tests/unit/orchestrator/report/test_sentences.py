"""The headline sentences of runs that can be counted by hand."""

from dataclasses import replace

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from orchestrator.experiment.grid import Grid, headline_k
from orchestrator.experiment.intervals import IntervalKind
from orchestrator.metrics.intervals import Interval
from orchestrator.metrics.matrix import BEYOND, NO_FACE, RankMatrix
from orchestrator.metrics.psr import Rate
from orchestrator.report.matchers import Matchers
from orchestrator.report.measured import measure
from orchestrator.report.sentences import headlines, limits, listed, signed, span
from tests.support.cells import paper_cell
from tests.support.observed import rank_matrix

GRID = Grid(("facenet", "resnet50"), ("facenet", "resnet50"), ("bim", "illc"), (8, 32, 128), (1, 25))


def run(n: int, protected: dict[str, int], *, no_face: int = 0, grid: Grid = GRID) -> RankMatrix:
    """So many probes protected by kind of cell: own, other (of BIM), illc, noise, none; so many without a face at 128."""
    cells = tuple(sorted(grid.cells()))
    rows = []
    for cell in cells:
        kind = cell.method
        if kind == "bim":
            kind = "own" if cell.source_model == cell.target_model else "other"
        row = np.where(np.arange(n) < protected.get(kind, 0), BEYOND, 1)
        row[: no_face if cell.epsilon == 128 else 0] = NO_FACE
        rows.append(row)
    return RankMatrix(cells, tuple(map(str, range(n))), np.array(rows, dtype=np.int16), 50)


def said(matrix: RankMatrix, grid: Grid = GRID) -> list[str]:
    return headlines(measure(matrix, grid, IntervalKind.WILSON))


def sentence(sentences: list[str], beginning: str) -> str:
    (found,) = (each for each in sentences if each.startswith(beginning))
    return found


OWN, OTHER = "BIM, read by its own model", "BIM, read by another model"


def test_psr_stands_with_its_interval_and_with_where_a_high_one_is_reached() -> None:
    sentences = said(run(12, {"own": 12, "other": 3}))
    low, high = (100 * limit for limit in proportion_confint(3, 12, method="wilson"))
    assert sentence(sentences, OTHER) == (
        f"{OTHER}: PSR@25 is 25.0 % [{low:.0f}–{high:.0f}] at epsilon 32; 95 % is reached in none of 2 pairs."
    )
    low, _ = (100 * limit for limit in proportion_confint(12, 12, method="wilson"))
    assert sentence(sentences, OWN) == (
        f"{OWN}: PSR@25 is 100.0 % [{low:.0f}–100] at epsilon 32; 95 % is reached in 2 of 2 pairs, from epsilon 8 on."
    )


def test_a_high_psr_is_reached_where_larger_epsilons_keep_it() -> None:
    matrix = run(200, {"own": 200, "other": 200})
    ranks = matrix.ranks.copy()
    ranks[matrix.cells.index(paper_cell("resnet50", "bim", 128, "resnet50")), :20] = 1
    ranks[matrix.cells.index(paper_cell("resnet50", "bim", 8, "facenet")), :20] = 1
    sentences = said(replace(matrix, ranks=ranks))
    assert sentence(sentences, OWN).endswith("; 95 % is reached in 1 of 2 pairs, from epsilon 8 on.")
    assert sentence(sentences, OTHER).endswith("; 95 % is reached in 2 of 2 pairs, from epsilon 8 to 32 on.")


@pytest.mark.parametrize(("epsilons", "at"), [((8, 16), 16), ((8, 64), 8), ((64, 128), 64)])
def test_psr_is_read_at_the_paper_s_epsilon_or_the_next_smaller_or_else_the_smallest(
    epsilons: tuple[int, ...], at: int
) -> None:
    grid = replace(GRID, epsilons=epsilons)
    assert f" at epsilon {at}; " in sentence(said(run(12, {}, grid=grid), grid), OWN)


def test_methods_are_told_apart_only_after_the_correction_for_many_cells() -> None:
    clear, unclear = run(100, {"own": 60, "other": 60, "illc": 20}), run(6, {"own": 6, "other": 6})
    beginning = "BIM against ILLC, at top-25: PSR is "
    assert sentence(said(clear), beginning).startswith(f"{beginning}higher in 12 of 12 cells, lower in 0, and ")
    # Each p is 0.031.
    assert f"{beginning}higher in 0 of 12 cells, lower in 0, and cannot be told apart in 12" in sentence(
        said(unclear), beginning
    )


def test_a_cloak_that_does_less_than_noise_is_counted_as_such() -> None:
    told = sentence(said(run(100, {"own": 90, "other": 10, "noise": 50})), "BIM against noise")
    assert "higher in 6 of 12 cells, lower in 6, and cannot be told apart in 0" in told


def test_a_run_of_one_method_compares_none() -> None:
    grid = replace(GRID, methods=("bim",))
    sentences = said(run(50, {"own": 50}, grid=grid), grid)
    assert [each for each in sentences if " against " in each] == [sentence(sentences, "BIM against noise")]


def test_the_control_and_the_noise_stand_with_their_intervals() -> None:
    sentences = said(run(40, {"none": 2, "noise": 10}))
    assert "Without a cloak, PSR@25 is 5.0 % [1–17] (4 pairs of source and target model, N = 40)." in sentences
    noise = "25.0 % [14–40]"
    assert f"With random noise in place of a cloak, PSR@25 is {noise} at epsilon 32 and {noise} at epsilon 128." in sentences


def test_faces_that_are_not_found_are_told_at_the_largest_epsilon() -> None:
    told = sentence(said(run(40, {}, no_face=10)), "Faces found at epsilon 128: ")
    assert "75.0 % [60–86] (BIM), 75.0 % [60–86] (ILLC), 75.0 % [60–86] (noise)" in told


def test_nothing_is_said_of_nothing() -> None:
    assert said(rank_matrix([])) == []


def test_what_was_not_observed_is_left_out() -> None:
    matrix = run(40, {"own": 40})
    only_controls = RankMatrix(
        tuple(cell for cell in matrix.cells if cell.method == "none"),
        matrix.probes,
        matrix.ranks[[row for row, cell in enumerate(matrix.cells) if cell.method == "none"]],
        50,
    )
    (only,) = said(only_controls)
    assert only.startswith("Without a cloak")


def test_one_subject_makes_sentences_too() -> None:
    assert "100.0 % [21–100]" in " ".join(said(run(1, {"own": 1, "other": 1})))


@pytest.mark.parametrize(("ks", "expected"), [((1, 25, 50), 25), ((1, 5, 10), 10), ((50, 1), 50), ((), None), ((5,), 5)])
def test_the_k_of_headlines_is_25_or_the_largest(ks: tuple[int, ...], expected: int | None) -> None:
    assert headline_k(ks) == expected


def test_words_and_numbers() -> None:
    assert [listed(names) for names in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
    assert [signed(points) for points in (12.5, -3.0, 0.0, -0.04)] == ["+12.5", "−3.0", "0.0", "0.0"]
    assert limits(Interval(-3.04, 10)) == "−3.0 to +10.0"
    assert span([Rate(1, 2), Rate(1, 2)]) == "50.0 % [9–91]"
    assert span([Rate(2, 2), Rate(0, 2)]) == "0.0 % [0–66] to 100.0 % [34–100]"


def test_matchers_are_named_apart_among_other_models_and_alone_where_there_are_no_others() -> None:
    both = replace(GRID, target_models=("facenet", "resnet50", "dlib"))
    ranks = run(12, {"own": 12, "other": 3}, grid=both)
    sentences = headlines(measure(ranks, both, IntervalKind.WILSON, matchers=Matchers(galleries={"dlib": 250})))
    low, high = (100 * limit for limit in proportion_confint(3, 12, method="wilson"))
    figures = f"PSR@25 is 25.0 % [{low:.0f}–{high:.0f}] at epsilon 32; 95 % is reached in none of"
    assert sentence(sentences, OTHER) == f"{OTHER}: {figures} 4 pairs."
    assert sentence(sentences, "BIM, read by a matcher") == f"BIM, read by a matcher: {figures} 2 pairs."
    alone = replace(GRID, target_models=("dlib",))
    ranks = run(12, {"other": 3}, grid=alone)
    sentences = headlines(measure(ranks, alone, IntervalKind.WILSON, matchers=Matchers(galleries={"dlib": 250})))
    assert sentence(sentences, "BIM, read by a matcher") == f"BIM, read by a matcher: {figures} 2 pairs."
    assert not [each for each in sentences if "another model:" in each]


def test_a_threshold_at_which_nobody_was_searched_who_is_not_enrolled_has_no_fpir() -> None:
    grid = replace(GRID, target_models=("dlib",))
    ranks = run(12, {"other": 3, "illc": 12, "none": 1}, grid=grid)
    low, high = (100 * limit for limit in proportion_confint(3, 12, method="wilson"))
    measured = measure(
        ranks,
        grid,
        IntervalKind.WILSON,
        matchers=Matchers(galleries={"dlib": 9}),
        at={"given": ranks, "fmr:0.1": run(0, {})},
    )
    found = [each for each in headlines(measured) if each.startswith("At the threshold")]
    assert len(found) == 1, "nothing was observed at the other threshold"
    assert f"25.0 % [{low:.0f}–{high:.0f}] with BIM and 100.0 %" in found[0]
    assert found[0].endswith("with ILLC (PSR@25, cloaks of epsilon 32 of another model).")


def test_a_member_of_an_ensemble_is_its_own_model() -> None:
    grid = replace(GRID, source_models=("facenet+resnet50",), target_models=("facenet", "resnet50", "senet50"))
    sentences = said(run(12, {"other": 3}, grid=grid), grid)
    assert "in none of 2 pairs" in sentence(sentences, OWN)
    assert "in none of 1 pair." in sentence(sentences, OTHER)
