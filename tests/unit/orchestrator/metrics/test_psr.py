"""PSR against tables worked by hand, and against Eq. 6 as it is printed."""

from dataclasses import replace

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from statsmodels.stats.proportion import proportion_confint

from orchestrator.errors import MetricError
from orchestrator.experiment.condition import Condition
from orchestrator.experiment.grid import Cell
from orchestrator.metrics.intervals import PairedCounts
from orchestrator.metrics.observation import Observation, Outcome
from orchestrator.metrics.psr import CellResult, Rate, difference_of
from tests.support.cells import paper_cell
from tests.support.observed import BEYOND, NO_FACE, NOT_ENROLLED, Seen, observation, observations, rank_matrix, results

CLOAKED = paper_cell("facenet", "bim", 8, "resnet50")
CONTROL = paper_cell("facenet", "none", 0, "resnet50")
NOISE = paper_cell("facenet", "noise", 8, "resnet50")
SEEN = st.one_of(st.integers(1, 10), st.sampled_from([BEYOND, NO_FACE, NOT_ENROLLED]))

# Probe e was not observed in the control, probe f only there.
TABLE = [
    *observations(CLOAKED, a=1, b=3, c=BEYOND, d=NO_FACE, e=10),
    *observations(CONTROL, a=1, b=1, c=1, d=2, f=1),
    *observations(NOISE, a=1, b=1, c=6, d=NO_FACE, e=1),
]


def result(cell: Cell, k: int, table: list[Observation] | None = None) -> CellResult:
    (found,) = (one for one in results(TABLE if table is None else table, ks=(1, 5, 10)) if (one.cell, one.k) == (cell, k))
    return found


def psr(table: list[Observation], *, k: int) -> Rate:
    """Of observations in one cell."""
    (of_cell,) = results(table, ks=(k,))
    return of_cell.psr


@pytest.mark.parametrize(("k", "percent"), [(1, 80), (5, 60), (10, 40)])
def test_psr_is_the_share_whose_true_identity_is_not_among_the_first_k(k: int, percent: float) -> None:
    rate = result(CLOAKED, k).psr
    assert (rate.percent, rate.n) == (percent, 5)


@settings(deadline=None)
@given(
    seen=st.lists(SEEN, min_size=1, max_size=40),
    k=st.integers(1, 10),
)
def test_psr_is_equation_6_as_printed(seen: list[Seen], k: int) -> None:
    in_top_k = sum(1 for rank in seen if rank in range(1, k + 1))
    table = [observation(str(probe), CLOAKED, rank) for probe, rank in enumerate(seen)]
    assert psr(table, k=k).percent == pytest.approx(100 - 100 / len(seen) * in_top_k)


def test_no_face_counts_as_protected_at_every_k() -> None:
    table = observations(CLOAKED, a=NO_FACE, b=1)
    assert [psr(table, k=k).percent for k in (1, 5, 10)] == [50, 50, 50]


def test_an_identity_beyond_the_candidates_is_protected_even_at_the_largest_k() -> None:
    assert psr(observations(CLOAKED, a=BEYOND, b=10), k=10).percent == 50


def test_the_detection_rate_counts_the_faces_that_the_invader_found() -> None:
    assert result(CLOAKED, 5).detected == Rate(4, 5)
    assert result(CONTROL, 5).detected == Rate(5, 5)


@pytest.mark.parametrize(("k", "percent"), [(1, 75), (5, 50), (10, 25)])
def test_psr_of_detected_leaves_out_those_without_a_face(k: int, percent: float) -> None:
    rate = result(CLOAKED, k).psr_of_detected
    assert rate is not None
    assert (rate.percent, rate.n) == (percent, 4)


def test_who_is_not_enrolled_is_protected_at_every_k_and_counted_apart() -> None:
    in_gallery = replace(CLOAKED, condition=Condition.parse("jpeg:95/gallery"))
    found = result(in_gallery, 10, observations(in_gallery, a=NOT_ENROLLED, b=1, c=NO_FACE))
    assert found.psr == Rate(2, 3)
    assert found.not_enrolled == Rate(1, 3)
    assert found.detected == Rate(2, 3)
    assert result(CLOAKED, 10, observations(CLOAKED, a=1)).not_enrolled is None


def test_psr_of_detected_is_not_defined_where_no_face_was_found() -> None:
    nowhere = result(CLOAKED, 1, observations(CLOAKED, a=NO_FACE, b=NO_FACE))
    assert nowhere.psr_of_detected is None
    assert (nowhere.psr.percent, nowhere.detected.percent) == (100, 0)


def test_n_of_a_cell_is_its_own() -> None:
    table = [*observations(CLOAKED, a=1, b=BEYOND, c=1), *observations(CONTROL, a=1)]
    assert {one.cell: one.psr.n for one in results(table, ks=(1,))} == {CLOAKED: 3, CONTROL: 1}


@pytest.mark.parametrize(("k", "counts", "points"), [(1, PairedCounts(1, 2, 0, 1), 50), (5, PairedCounts(0, 2, 0, 2), 50)])
def test_minus_control_pairs_only_the_probes_observed_in_both(k: int, counts: PairedCounts, points: float) -> None:
    minus = result(CLOAKED, k).minus_control
    assert minus is not None
    assert (minus.counts, minus.points) == (counts, points)


@pytest.mark.parametrize(
    ("k", "counts", "points"),
    [(1, PairedCounts(2, 2, 0, 1), 40), (5, PairedCounts(2, 1, 0, 2), 20), (10, PairedCounts(1, 1, 0, 3), 20)],
)
def test_minus_noise_is_worked_by_hand(k: int, counts: PairedCounts, points: float) -> None:
    minus = result(CLOAKED, k).minus_noise
    assert minus is not None
    assert minus.counts == counts
    assert minus.points == pytest.approx(points)


def test_noise_is_compared_at_the_same_epsilon_and_both_controls_for_the_same_two_models() -> None:
    elsewhere = [
        *observations(CLOAKED, a=1),
        *observations(paper_cell("facenet", "noise", 16, "resnet50"), a=1),
        *observations(paper_cell("facenet", "noise", 8, "senet50"), a=1),
        *observations(paper_cell("senet50", "none", 0, "resnet50"), a=1),
    ]
    alone = result(CLOAKED, 1, elsewhere)
    assert (alone.minus_control, alone.minus_noise) == (None, None)


def test_a_difference_without_a_common_probe_is_not_defined() -> None:
    matrix = rank_matrix([*observations(CLOAKED, a=1), *observations(CONTROL, b=1)])
    assert difference_of(matrix, CLOAKED, CONTROL, k=1) is None


@settings(deadline=None)
@given(
    first=st.dictionaries(st.sampled_from("abcdefgh"), SEEN, min_size=1),
    second=st.dictionaries(st.sampled_from("abcdefgh"), SEEN, min_size=1),
)
def test_a_difference_is_that_of_the_psrs_over_the_common_probes(first: dict[str, Seen], second: dict[str, Seen]) -> None:
    common = sorted(first.keys() & second.keys())
    table = [observation(probe, CLOAKED, seen) for probe, seen in first.items()]
    table += [observation(probe, CONTROL, seen) for probe, seen in second.items()]
    matrix = rank_matrix(table)
    paired = difference_of(matrix, CLOAKED, CONTROL, k=5)
    if not common:
        assert paired is None
        return
    assert paired is not None
    expected = (
        psr([observation(probe, CLOAKED, first[probe]) for probe in common], k=5).percent
        - psr([observation(probe, CONTROL, second[probe]) for probe in common], k=5).percent
    )
    assert paired.points == pytest.approx(expected)
    assert paired.interval.low <= paired.points <= paired.interval.high


def test_every_psr_carries_its_wilson_interval_in_percent() -> None:
    low, high = proportion_confint(4, 5, method="wilson")
    interval = result(CLOAKED, 1).psr.interval
    assert (interval.low, interval.high) == pytest.approx((100 * low, 100 * high))


def test_results_come_in_the_order_of_cells_and_then_of_k() -> None:
    assert [(one.cell, one.k) for one in results(TABLE, ks=(1, 5))] == [
        *((CLOAKED, 1), (CLOAKED, 5)),
        *((NOISE, 1), (NOISE, 5)),
        *((CONTROL, 1), (CONTROL, 5)),
    ]


@pytest.mark.parametrize("k", [11, 0, -1])
def test_k_that_was_not_asked_for_raises_and_says_how_far_it_goes(k: int) -> None:
    with pytest.raises(MetricError, match=rf"k = {k}: expected 1\.\.10"):
        psr(observations(CLOAKED, a=1), k=k)


def test_k_is_limited_by_the_observation_with_the_fewest_candidates() -> None:
    table = [*observations(CLOAKED, a=1), *observations(CLOAKED, candidates=5, b=BEYOND)]
    assert psr(table, k=5).percent == 50
    with pytest.raises(MetricError, match=r"k = 6: expected 1\.\.5"):
        psr(table, k=6)


def test_a_rate_of_nothing_raises() -> None:
    with pytest.raises(MetricError, match="no observations"):
        _ = Rate(0, 0).percent


def test_a_cell_without_observations_has_no_result() -> None:
    assert results([], ks=(1,)) == []
    assert {one.cell for one in results(observations(CONTROL, a=1), ks=(1,))} == {CONTROL}


@pytest.mark.parametrize(
    ("outcome", "rank"),
    [
        (Outcome.RANKED, None),
        (Outcome.RANKED, 0),
        (Outcome.RANKED, 11),
        (Outcome.BEYOND, 3),
        (Outcome.NO_FACE, 1),
    ],
)
def test_an_outcome_and_a_rank_that_contradict_each_other_are_refused(outcome: Outcome, rank: int | None) -> None:
    with pytest.raises(MetricError, match=f"outcome {outcome} and rank {rank} of 10 contradict each other"):
        Observation("a/1.jpg", CLOAKED, outcome, rank, 10)
