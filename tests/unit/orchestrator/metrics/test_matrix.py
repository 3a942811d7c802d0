"""The array of ranks against single observations, counted one by one."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from scipy.stats import ttest_1samp

from orchestrator.errors import MetricError
from orchestrator.experiment.condition import LOSSLESS
from orchestrator.experiment.grid import CONTROL, NOISE, Cell
from orchestrator.metrics.averages import average_difference, average_psr, trigger_difference
from orchestrator.metrics.intervals import PairedCounts, newcombe
from orchestrator.metrics.matrix import BEYOND as BEYOND_CODE
from orchestrator.metrics.matrix import MISSING, RankMatrix
from orchestrator.metrics.matrix import NO_FACE as NO_FACE_CODE
from orchestrator.metrics.matrix import NOT_ENROLLED as NOT_ENROLLED_CODE
from orchestrator.metrics.observation import Observation, Outcome
from orchestrator.metrics.psr import CellResult, Difference, Rate, difference_of
from tests.support.cells import paper_cell
from tests.support.observed import BEYOND, NO_FACE, NOT_ENROLLED, observation, observations, rank_matrix, results

CELLS = (
    paper_cell("senet50", "bim", 8, "facenet"),
    paper_cell("facenet", "none", 0, "resnet50"),
    paper_cell("facenet", "noise", 8, "resnet50"),
    paper_cell("facenet", "bim", 8, "resnet50"),
    paper_cell("facenet", "bim", 8, "facenet"),
)
SEEN = st.one_of(st.integers(1, 10), st.sampled_from([BEYOND, NO_FACE, NOT_ENROLLED]))
TABLES = st.dictionaries(st.tuples(st.sampled_from("abcdefg"), st.sampled_from(CELLS)), SEEN, max_size=35).map(
    lambda seen: [observation(probe, cell, rank) for (probe, cell), rank in seen.items()]
)


Observed = Mapping[str, Observation]  # by probe


def protected(seen: Observation, k: int) -> bool:
    return seen.rank is None or seen.rank > k


def by_cell(table: Iterable[Observation]) -> dict[Cell, Observed]:
    cells: defaultdict[Cell, dict[str, Observation]] = defaultdict(dict)
    for each in table:
        cells[each.cell][each.probe] = each
    return dict(cells)


def rate(observed: Collection[Observation], *, k: int) -> Rate:
    return Rate(sum(protected(each, k) for each in observed), len(observed))


def difference(first: Observed, second: Observed, *, k: int) -> Difference | None:
    pairs = [(protected(first[probe], k), protected(second[probe], k)) for probe in first.keys() & second.keys()]
    counts = [pairs.count(each) for each in ((True, True), (True, False), (False, True), (False, False))]
    return Difference(PairedCounts(*counts)) if pairs else None


def plain_results(table: list[Observation], *, ks: Sequence[int]) -> Iterator[CellResult]:
    """Observation by observation, without an array."""
    cells = by_cell(table)
    for cell, observed in sorted(cells.items()):
        found = [each for each in observed.values() if each.outcome is not Outcome.NO_FACE]
        control = cells.get(paper_cell(cell.source_model, CONTROL, 0, cell.target_model), {})
        noise = cells.get(paper_cell(cell.source_model, NOISE, cell.epsilon, cell.target_model), {})
        for k in ks:
            yield CellResult(
                cell=cell,
                k=k,
                psr=rate(observed.values(), k=k),
                detected=Rate(len(found), len(observed)),
                psr_of_detected=rate(found, k=k) if found else None,
                minus_control=difference(observed, control, k=k),
                minus_noise=difference(observed, noise, k=k),
            )


@settings(deadline=None)
@given(TABLES)
def test_results_are_those_of_single_observations(table: list[Observation]) -> None:
    assert results(table, ks=(1, 5, 10)) == list(plain_results(table, ks=(1, 5, 10)))


@settings(deadline=None)
@given(TABLES.filter(bool), st.integers(1, 10))
def test_every_place_says_what_its_observation_says(table: list[Observation], k: int) -> None:
    matrix = rank_matrix(table)
    by_place = {(each.probe, each.cell): each for each in table}
    for cell in CELLS:
        for column, probe in enumerate(matrix.probes):
            each = by_place.get((probe, cell))
            assert matrix.observed(cell)[column] == (each is not None)
            assert matrix.detected(cell)[column] == (each is not None and each.outcome is not Outcome.NO_FACE)
            assert matrix.protected(cell, k)[column] == (each is not None and protected(each, k))


@settings(deadline=None)
@given(TABLES, st.sampled_from(CELLS), st.sampled_from(CELLS))
def test_a_paired_difference_is_that_of_single_observations(table: list[Observation], first: Cell, second: Cell) -> None:
    cells = by_cell(table)
    expected = difference(cells.get(first, {}), cells.get(second, {}), k=5)
    assert difference_of(rank_matrix(table), first, second, k=5) == expected


def test_cells_are_sorted_and_probes_keep_their_order() -> None:
    matrix = rank_matrix([observation("z", CELLS[0], 1), observation("a", CELLS[3], 2)])
    assert matrix.cells == (CELLS[3], CELLS[0])
    assert matrix.probes == ("z", "a")
    assert matrix.ranks.tolist() == [[MISSING, 2], [1, MISSING]]


def test_what_is_no_rank_has_a_code_of_its_own() -> None:
    matrix = rank_matrix(observations(CELLS[0], a=7, b=BEYOND, c=NO_FACE, d=NOT_ENROLLED))
    assert matrix.row(CELLS[0]).tolist() == [7, BEYOND_CODE, NO_FACE_CODE, NOT_ENROLLED_CODE]
    assert matrix.row(CELLS[1]).tolist() == [MISSING] * 4
    assert matrix.not_enrolled(CELLS[0]).tolist() == [False, False, False, True]


def test_k_goes_as_far_as_the_observation_with_the_fewest_candidates() -> None:
    table = [*observations(CELLS[0], a=1), *observations(CELLS[0], candidates=5, b=2)]
    with pytest.raises(MetricError, match=r"k = 6: expected 1\.\.5"):
        results(table, ks=(6,))


def test_more_candidates_than_a_rank_can_count_are_refused_rather_than_wrapped() -> None:
    with pytest.raises(MetricError, match="at most 32766"):
        rank_matrix([observation("a", CELLS[0], 40_000, candidates=50_000)])


def test_only_takes_probes_in_the_order_asked_for_and_knows_strangers_as_missing() -> None:
    matrix = rank_matrix(observations(CELLS[0], a=1, b=2, c=3)).only(["c", "stranger", "a"])
    assert matrix.probes == ("c", "stranger", "a")
    assert matrix.ranks.tolist() == [[3, MISSING, 1]]
    assert matrix.only([]).ranks.shape == (1, 0)


def test_two_runs_share_the_probes_of_both_in_the_first_one_s_order() -> None:
    first, second = rank_matrix(observations(CELLS[0], a=1, b=2, c=3)), rank_matrix(observations(CELLS[1], c=7, d=8, a=9))
    ours, theirs = first.shared_with(second)
    assert ours.probes == theirs.probes == ("a", "c")
    assert (ours.ranks.tolist(), theirs.ranks.tolist()) == ([[1, 3]], [[9, 7]])


# Averages over cells.


def matrix_of(protected: np.ndarray, *, missing: np.ndarray | None = None) -> tuple[RankMatrix, list[Cell]]:
    """From (cells, probes) of whether protected."""
    cells = [paper_cell("facenet", "bim", epsilon, "resnet50") for epsilon in range(1, len(protected) + 1)]
    ranks = np.where(protected, BEYOND_CODE, 1).astype(np.int16)
    if missing is not None:
        ranks[missing] = MISSING
    return RankMatrix(tuple(cells), tuple(f"p{place}" for place in range(protected.shape[1])), ranks, 10), cells


@settings(deadline=None)
@given(st.builds(PairedCounts, *([st.integers(0, 30)] * 4)).filter(lambda counts: counts.n > 0))
def test_of_one_pair_of_cells_the_interval_is_bonett_and_price_s(counts: PairedCounts) -> None:
    first = [True] * counts.both + [True] * counts.first_only + [False] * (counts.second_only + counts.neither)
    second = [True] * counts.both + [False] * counts.first_only + [True] * counts.second_only + [False] * counts.neither
    matrix, (one, other) = matrix_of(np.array([first, second]))
    average = average_difference(matrix, [(one, other)], k=1)
    p12, p21 = (counts.first_only + 1) / (counts.n + 2), (counts.second_only + 1) / (counts.n + 2)
    half = 1.959963985 * ((p12 + p21 - (p12 - p21) ** 2) / (counts.n + 2)) ** 0.5
    assert average is not None
    assert average.points == pytest.approx(100 * (counts.first_only - counts.second_only) / counts.n)
    assert (average.interval.low, average.interval.high) == pytest.approx(
        (100 * max(-1, p12 - p21 - half), 100 * min(1, p12 - p21 + half)), abs=1e-5
    )
    assert average.interval.low <= average.points <= average.interval.high


@pytest.mark.parametrize(("protected", "n"), [(0, 10), (3, 10), (10, 10), (40, 100)])
def test_of_one_cell_the_interval_adds_two_successes_and_two_failures(protected: int, n: int) -> None:
    matrix, cells = matrix_of(np.array([[place < protected for place in range(n)]]))
    average = average_psr(matrix, cells, k=1)
    p = (protected + 2) / (n + 4)
    half = 1.959963985 * (p * (1 - p) / (n + 4)) ** 0.5
    assert average is not None
    assert (average.points, average.n) == (100 * protected / n, n)
    assert (average.interval.low, average.interval.high) == pytest.approx(
        (100 * max(0, p - half), 100 * min(1, p + half)), abs=1e-5
    )


def test_with_many_probes_the_interval_is_student_s_of_the_probes_averages() -> None:
    random = np.random.default_rng(5)
    protected = random.random((6, 4000)) < random.random(4000)
    matrix, cells = matrix_of(protected)
    average = average_difference(matrix, list(zip(cells[:3], cells[3:], strict=True)), k=1)
    by_probe = (protected[:3].astype(float) - protected[3:]).mean(axis=0)
    expected = ttest_1samp(100 * by_probe, 0).confidence_interval()
    assert average is not None
    assert (average.interval.low, average.interval.high) == pytest.approx((expected.low, expected.high), abs=0.05)


def test_cells_that_repeat_the_same_answers_do_not_narrow_the_interval() -> None:
    first, second = np.arange(20) < 14, np.arange(20) < 9
    few, (a, b) = matrix_of(np.array([first, second]))
    many, cells = matrix_of(np.array([first] * 10 + [second] * 10))
    assert average_difference(many, list(zip(cells[:10], cells[10:], strict=True)), k=1) == average_difference(
        few, [(a, b)], k=1
    )


def test_the_interval_covers_the_truth_where_adding_up_dependent_pairs_does_not() -> None:
    """1000 runs of 40 probes in 12 pairs of cells, whose answers are a probe's for the greater part."""
    random, covered, covered_by_sum, runs = np.random.default_rng(11), 0, 0, 1000
    for _ in range(runs):
        of_probe = random.random((2, 1, 40)) < np.array([0.6, 0.4]).reshape(2, 1, 1)
        of_cell = random.random((2, 12, 40)) < np.array([0.6, 0.4]).reshape(2, 1, 1)
        first, second = np.where(random.random((2, 12, 40)) < 0.8, of_probe, of_cell)  # the true difference is 20 points
        matrix, cells = matrix_of(np.concatenate([first, second]))
        average = average_difference(matrix, list(zip(cells[:12], cells[12:], strict=True)), k=1)
        assert average is not None
        covered += average.interval.low <= 20 <= average.interval.high
        both, neither = int((first & second).sum()), int((~first & ~second).sum())
        summed = newcombe(PairedCounts(both, int((first & ~second).sum()), int((~first & second).sum()), neither))
        covered_by_sum += summed.low <= 0.20 <= summed.high
    assert covered / runs > 0.93
    assert covered_by_sum / runs < 0.7


def test_few_probes_that_all_agree_do_not_make_an_interval_of_no_width() -> None:
    matrix, (first, second) = matrix_of(np.array([[True] * 3, [False] * 3]))
    average = average_difference(matrix, [(first, second)], k=1)
    assert average is not None
    assert average.points == average.interval.high == 100
    assert average.interval.low < 0


def test_a_probe_counts_with_the_pairs_it_was_observed_in_and_weighs_as_much_as_another() -> None:
    protected = np.array([[True, True, True], [False, True, False], [False, True, True], [True, True, False]])
    missing = np.zeros((4, 3), dtype=bool)
    missing[1, 0] = True  # probe 0 has the second pair alone: -1
    missing[[0, 3], 2] = True  # probe 2 has no pair
    matrix, cells = matrix_of(protected, missing=missing)
    average = average_difference(matrix, [(cells[0], cells[1]), (cells[2], cells[3])], k=1)
    assert average is not None
    assert (average.points, average.n) == (-50, 2)


def test_an_average_of_nothing_is_none() -> None:
    matrix, (cell,) = matrix_of(np.array([[True]]))
    stranger = paper_cell("senet50", "bim", 4, "resnet50")
    assert average_psr(matrix, [], k=1) is None
    assert average_psr(matrix, [stranger], k=1) is None
    assert average_difference(matrix, [(cell, stranger)], k=1) is None


def test_a_confidence_that_is_none_is_refused() -> None:
    matrix, cells = matrix_of(np.array([[True]]))
    with pytest.raises(MetricError, match=r"got 1\.5"):
        average_difference(matrix, [(cells[0], cells[0])], k=1, confidence=1.5)


def test_the_trigger_is_compared_on_probes_that_are_recognised_and_whose_cloaks_show_a_face_under_both_conditions() -> None:
    cloaked, control = paper_cell("facenet", "bim", 8, "resnet50"), paper_cell("facenet", "none", 0, "resnet50")
    png, png_control = replace(cloaked, condition=LOSSLESS), replace(control, condition=LOSSLESS)
    table = [
        *observations(png, a=BEYOND, b=BEYOND, c=BEYOND, d=BEYOND, e=BEYOND, f=1, only_here=BEYOND),
        *observations(png_control, a=1, b=1, c=1, d=BEYOND, e=1, f=1, only_here=1),
        # b: no face; c: not recognised without a cloak; e: control not observed
        *observations(cloaked, f=1, a=1, b=NO_FACE, c=1, d=1, e=1),
        *observations(control, f=1, a=1, b=1, c=BEYOND, d=1),
    ]
    average = trigger_difference(rank_matrix(table), [(png, cloaked)], k=1)
    assert average is not None
    assert (average.points, average.n) == (50, 2)  # a and f


def test_conditions_without_a_common_probe_have_no_trigger_to_compare() -> None:
    cloaked, control = paper_cell("facenet", "bim", 8, "resnet50"), paper_cell("facenet", "none", 0, "resnet50")
    png, png_control = replace(cloaked, condition=LOSSLESS), replace(control, condition=LOSSLESS)
    table = [
        each
        for cell, name in ((cloaked, "a"), (control, "a"), (png, "b"), (png_control, "b"))
        for each in observations(cell, **{name: 1})
    ]
    assert trigger_difference(rank_matrix(table), [(png, cloaked)], k=1) is None
