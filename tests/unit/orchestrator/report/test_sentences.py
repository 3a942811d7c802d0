"""The headline sentences of runs that can be counted by hand."""

from dataclasses import replace

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from orchestrator.experiment.grid import Cell, Grid, headline_k
from orchestrator.metrics.intervals import Interval
from orchestrator.metrics.matrix import BEYOND, NO_FACE, RankMatrix
from orchestrator.metrics.methods import compare_methods
from orchestrator.metrics.psr import Rate, results_of
from orchestrator.report.sentences import headlines, limits, listed, percent, signed, span

GRID = Grid(("facenet", "resnet50"), ("facenet", "resnet50"), ("bim", "illc"), (8, 32, 128), (1, 25))


def run(n: int, protected: dict[str, int], *, no_face: int = 0) -> RankMatrix:
    """So many probes protected by kind of cell: own, other (of BIM), illc, noise, none; so many without a face at 128."""
    cells = tuple(sorted(GRID.cells()))
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
    return headlines(list(results_of(matrix, ks=grid.ks)), grid, paired=compare_methods(matrix, grid, k=25))


def sentence(sentences: list[str], beginning: str) -> str:
    (found,) = (each for each in sentences if each.startswith(beginning))
    return found


def test_a_high_psr_is_said_to_be_shown_only_where_the_whole_interval_is_high() -> None:
    own = "BIM, read by the model it was crafted with"
    few, many = said(run(12, {"own": 12})), said(run(200, {"own": 200}))
    assert sentence(few, own).endswith("is shown at no epsilon, for none of FaceNet and ResNet-50, at this N.")
    assert "is shown from epsilon 8 on for FaceNet (100.0 % [98.1–100.0])" in sentence(many, own)
    assert "not shown" not in sentence(many, own)


def test_a_model_for_which_it_is_not_shown_is_named() -> None:
    matrix = run(200, {"own": 200})
    ranks = matrix.ranks.copy()
    ranks[matrix.cells.index(Cell("resnet50", "bim", 128, "resnet50")), :20] = 1
    told = sentence(said(replace(matrix, ranks=ranks)), "BIM, read by the model it was crafted with")
    assert told.endswith("; not shown for ResNet-50.")


def test_psr_on_other_models_stands_with_its_intervals() -> None:
    low, high = proportion_confint(3, 12, method="wilson")
    told = sentence(said(run(12, {"own": 12, "other": 3})), "BIM, read by another model")
    figure = f"25.0 % [{100 * low:.1f}–{100 * high:.1f}]"
    assert told == (
        f"BIM, read by another model: PSR@25 is {figure} at epsilon 32 (2 pairs of models) and {figure} at epsilon 128 "
        f"(2 pairs of models)."
    )


def test_methods_are_told_apart_only_after_the_correction_for_many_cells() -> None:
    clear, unclear = run(100, {"own": 60, "other": 60, "illc": 20}), run(6, {"own": 6, "other": 6})
    assert "more in 12 of 12 cells, less in 0, and in 0" in sentence(said(clear), "BIM against ILLC")
    assert "more in 0 of 12 cells, less in 0, and in 12" in sentence(said(unclear), "BIM against ILLC")  # each p is 0.031


def test_a_cloak_that_does_less_than_noise_is_counted_as_such() -> None:
    told = sentence(said(run(100, {"own": 90, "other": 10, "noise": 50})), "BIM against noise")
    assert "more in 6 of 12 cells, less in 6, and in 0" in told


def test_without_a_comparison_of_methods_nothing_is_said_about_it() -> None:
    matrix = run(50, {"own": 50})
    sentences = headlines(list(results_of(matrix, ks=(25,))), GRID)
    assert not any(each.startswith("BIM against ILLC") for each in sentences)
    other_k = compare_methods(matrix, GRID, k=1)
    assert headlines(list(results_of(matrix, ks=(25,))), GRID, paired=other_k) == sentences


def test_the_control_and_the_noise_stand_with_their_n() -> None:
    sentences = said(run(40, {"none": 2, "noise": 10}))
    assert "PSR@25 is 5.0 % [1.4–16.5] (4 pairs of source and target model, N = 40)" in sentence(
        sentences, "Without a cloak"
    )
    assert "25.0 %" in sentence(sentences, "Random noise")


def test_faces_that_are_not_found_are_told_at_the_largest_epsilon() -> None:
    told = sentence(said(run(40, {}, no_face=10)), "At epsilon 128")
    assert "a face in 75.0 % [59.8–85.8] of BIM's cloaks" in told


def test_nothing_is_said_of_nothing() -> None:
    assert headlines([], GRID) == []


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
    assert "100.0 % [20.7–100.0]" in " ".join(said(run(1, {"own": 1, "other": 1})))


@pytest.mark.parametrize(("ks", "expected"), [((1, 25, 50), 25), ((1, 5, 10), 10), ((50, 1), 50), ((), None), ((5,), 5)])
def test_the_k_of_headlines_is_25_or_the_largest(ks: tuple[int, ...], expected: int | None) -> None:
    assert headline_k(ks) == expected


def test_words_and_numbers() -> None:
    assert [listed(names) for names in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
    assert [signed(points) for points in (12.5, -3.0, 0.0, -0.04)] == ["+12.5", "−3.0", "0.0", "0.0"]
    assert limits(Interval(-3.04, 10)) == "−3.0 to +10.0"
    assert span([Rate(1, 2), Rate(1, 2)]) == percent(Rate(1, 2))
    assert span([Rate(2, 2), Rate(0, 2)]) == f"{percent(Rate(0, 2))} to {percent(Rate(2, 2))}"
