"""The interval that may be looked at again and again: what it is, by another library, and what it holds, by simulation."""

from collections.abc import Callable
from functools import cache

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray
from scipy.stats import beta

from orchestrator.errors import MetricError
from orchestrator.metrics.confidence_sequence import confidence_sequence
from orchestrator.metrics.intervals import Interval, wilson

RUNS = 2_000  # simulated
SUBJECTS = 2_000  # of each, at most

COUNTS = st.integers(0, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))

Counts = NDArray[np.int64]


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
@pytest.mark.parametrize(("successes", "n"), [(1, 1), (1, 3), (7, 24), (50, 100), (3, 1000), (997, 1000), (4580, 9160)])
def test_at_its_limits_the_posterior_is_alpha_times_the_prior(successes: int, n: int, confidence: float) -> None:
    limits = confidence_sequence(successes, n, confidence=confidence)
    ends = [limits.low] * (successes > 0) + [limits.high] * (successes < n)
    ratios = beta.pdf(ends, 1 + successes, 1 + n - successes) / beta.pdf(ends, 1, 1)
    assert ratios == pytest.approx(1 - confidence, rel=1e-6)


@pytest.mark.parametrize("n", [1, 2, 5, 20, 137])
def test_it_is_every_share_whose_ratio_is_below_one_over_alpha(n: int) -> None:
    shares = np.linspace(0, 1, 10_001)
    for successes in range(n + 1):
        within = shares[beta.pdf(shares, 1 + successes, 1 + n - successes) > 0.05]
        limits = confidence_sequence(successes, n)
        assert (limits.low, limits.high) == pytest.approx((within[0], within[-1]), abs=1e-4)


def test_before_the_first_draw_nothing_is_known() -> None:
    assert confidence_sequence(0, 0) == Interval(0, 1)


@settings(deadline=None)
@given(COUNTS)
def test_it_contains_what_was_observed_and_stays_within_what_is_possible(counts: tuple[int, int]) -> None:
    successes, n = counts
    limits = confidence_sequence(successes, n)
    assert 0 <= limits.low <= limits.high <= 1
    assert n == 0 or limits.low <= successes / n <= limits.high
    assert (limits.low == 0) == (successes == 0)
    assert (limits.high == 1) == (successes == n)


@settings(deadline=None)
@given(COUNTS, st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_more_confidence_is_never_narrower(counts: tuple[int, int], one: float, other: float) -> None:
    narrow, wide = (confidence_sequence(*counts, confidence=each) for each in sorted((one, other)))
    assert wide.low <= narrow.low
    assert narrow.high <= wide.high


@settings(deadline=None)
@given(COUNTS)
def test_exchanging_success_and_failure_mirrors_it(counts: tuple[int, int]) -> None:
    successes, n = counts
    limits, mirrored = confidence_sequence(successes, n), confidence_sequence(n - successes, n)
    assert (mirrored.low, mirrored.high) == pytest.approx((1 - limits.high, 1 - limits.low), abs=1e-12)


@settings(deadline=None)
@given(COUNTS)
def test_one_success_more_moves_both_limits_up(counts: tuple[int, int]) -> None:
    successes, n = counts
    if successes < n:
        before, after = confidence_sequence(successes, n), confidence_sequence(successes + 1, n)
        assert before.low < after.low
        assert before.high <= after.high


@pytest.mark.parametrize(("successes", "n"), [(-1, 5), (6, 5), (1, 0), (0, -1)])
def test_what_is_no_proportion_is_refused(successes: int, n: int) -> None:
    with pytest.raises(MetricError, match=f"got {successes} of {n}"):
        confidence_sequence(successes, n)


@pytest.mark.parametrize("confidence", [0.0, 1.0, -1.0, float("nan")])
def test_what_is_no_confidence_is_refused(confidence: float) -> None:
    with pytest.raises(MetricError, match=f"got {confidence}"):
        confidence_sequence(1, 2, confidence=confidence)


# Coverage. Both intervals' limits rise with the successes, so that those whose interval holds p are a range.


def simulated(p: float) -> Counts:
    """Successes (runs, subjects) after each subject."""
    return (np.random.default_rng(20200).random((RUNS, SUBJECTS)) < p).cumsum(axis=1)


def holding(limits: Callable[[int, int], Interval], p: float, n: int) -> tuple[int, int]:
    """The fewest and the most successes of n whose interval holds p."""

    def first(reached: Callable[[Interval], bool]) -> int:
        low, high = 0, n + 1
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if reached(limits(middle, n)) else (middle + 1, high)
        return low

    return first(lambda interval: interval.high >= p), first(lambda interval: interval.low > p) - 1


def share_that_always_hold(limits: Callable[[int, int], Interval], p: float, successes: Counts, *, every: int) -> float:
    """Of the runs, those whose intervals hold p at all looks."""
    looks = np.arange(every, successes.shape[1] + 1, every)
    fewest, most = np.array([holding(limits, p, int(n)) for n in looks]).T
    seen = successes[:, looks - 1]
    return float(((fewest <= seen) & (seen <= most)).all(axis=1).mean())


@pytest.mark.parametrize("every", [1, 20])
@pytest.mark.parametrize("p", [0.02, 0.1, 0.5, 0.9])
def test_in_95_percent_of_runs_it_holds_at_all_looks_at_once(p: float, every: int) -> None:
    assert share_that_always_hold(confidence_sequence, p, simulated(p), every=every) >= 0.95


@pytest.mark.parametrize("p", [0.02, 0.1, 0.5, 0.9])
def test_wilson_s_interval_does_not_hold_at_all_looks_at_once(p: float) -> None:
    assert share_that_always_hold(wilson, p, simulated(p), every=20) < 0.85


@pytest.mark.parametrize(("p", "halfwidth"), [(0.02, 0.03), (0.1, 0.05), (0.5, 0.06)])
def test_it_holds_in_95_percent_of_runs_at_the_n_at_which_they_stopped_for_being_narrow(p: float, halfwidth: float) -> None:
    at = cache(confidence_sequence)
    held = []
    for successes in simulated(p):
        looks = ((int(successes[n - 1]), n) for n in range(20, SUBJECTS + 1, 20))
        stopped = next(limits for look in looks if (limits := at(*look)).halfwidth <= halfwidth)
        held.append(stopped.low <= p <= stopped.high)
    assert np.mean(held) >= 0.95


def test_it_holds_at_all_looks_while_a_data_set_is_drawn_to_its_last_subject() -> None:
    """Without replacement, as subjects are drawn: of 300 identities 90 are protected, in any order."""
    identities = np.tile(np.arange(300) < 90, (RUNS, 1))
    successes = np.random.default_rng(20200).permuted(identities, axis=1).cumsum(axis=1)
    assert share_that_always_hold(confidence_sequence, 0.3, successes, every=1) >= 0.95
