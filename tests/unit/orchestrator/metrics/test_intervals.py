"""Intervals against other libraries and against published worked examples."""

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from scipy.stats import binomtest
from statsmodels.stats.proportion import proportion_confint

from orchestrator.errors import MetricError
from orchestrator.metrics.intervals import PairedCounts, newcombe, paired_difference, wilson

TABLES = st.builds(PairedCounts, *([st.integers(0, 60)] * 4)).filter(lambda counts: counts.n > 0)


@pytest.mark.parametrize("n", [1, 2, 5, 16, 100, 257])
def test_wilson_agrees_with_statsmodels_and_scipy_for_every_count(n: int) -> None:
    for successes in range(n + 1):
        interval = wilson(successes, n)
        assert (interval.low, interval.high) == pytest.approx(
            proportion_confint(successes, n, method="wilson"), rel=1e-9, abs=1e-12
        )
        other = binomtest(successes, n).proportion_ci(confidence_level=0.95, method="wilson")
        assert (interval.low, interval.high) == pytest.approx((other.low, other.high), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.99])
def test_wilson_agrees_with_statsmodels_at_other_confidences(confidence: float) -> None:
    interval = wilson(7, 24, confidence=confidence)
    expected = proportion_confint(7, 24, alpha=1 - confidence, method="wilson")
    assert (interval.low, interval.high) == pytest.approx(expected, rel=1e-9)


def test_wilson_ends_exactly_at_the_ends() -> None:
    for n in range(1, 200):
        assert wilson(0, n).low == 0
        assert wilson(n, n).high == 1


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 5), (6, 5), (1, 0), (0, -1)])
def test_wilson_refuses_what_is_no_proportion(successes: int, n: int) -> None:
    with pytest.raises(MetricError, match=f"got {successes} of {n}"):
        wilson(successes, n)


# Fagerland, Lydersen and Laake, "Recommended tests and confidence intervals for paired binomial proportions", Statistics in
# Medicine 33 (2014), tables of results: Newcombe's square-and-add interval.
@pytest.mark.parametrize(
    ("counts", "difference", "low", "high", "places"),
    [
        pytest.param(PairedCounts(59, 6, 16, 80), -0.0621, -0.1186, -0.0046, 4, id="complete response, Cavo et al. 2012"),
        pytest.param(PairedCounts(1, 1, 7, 12), -0.286, -0.507, -0.026, 3, id="hyper-responsiveness, Bentur et al. 2009"),
    ],
)
def test_newcombe_gives_the_published_values(
    counts: PairedCounts, difference: float, low: float, high: float, places: int
) -> None:
    interval = newcombe(counts)
    assert round(paired_difference(counts), places) == difference
    assert (round(interval.low, places), round(interval.high, places)) == (low, high)


@settings(deadline=None)
@given(TABLES)
def test_newcombe_contains_the_difference_and_stays_within_what_is_possible(counts: PairedCounts) -> None:
    interval = newcombe(counts)
    assert interval.low <= paired_difference(counts) <= interval.high
    assert interval.low >= -1 - 1e-12
    assert interval.high <= 1 + 1e-12


@settings(deadline=None)
@given(TABLES)
def test_swapping_the_two_negates_the_interval(counts: PairedCounts) -> None:
    swapped = PairedCounts(counts.both, counts.second_only, counts.first_only, counts.neither)
    assert paired_difference(swapped) == -paired_difference(counts)
    interval, mirrored = newcombe(counts), newcombe(swapped)
    assert (mirrored.low, mirrored.high) == pytest.approx((-interval.high, -interval.low), abs=1e-12)


@settings(deadline=None)
@given(TABLES)
def test_exchanging_success_and_failure_negates_the_interval(counts: PairedCounts) -> None:
    failures = PairedCounts(counts.neither, counts.second_only, counts.first_only, counts.both)
    interval, mirrored = newcombe(counts), newcombe(failures)
    assert (mirrored.low, mirrored.high) == pytest.approx((-interval.high, -interval.low), abs=1e-12)


@settings(deadline=None)
@given(n=st.integers(1, 200))
def test_where_a_margin_is_empty_the_two_widths_are_added_in_squares_alone(n: int) -> None:
    """All protected by the first, none by the second: no correlation can be estimated."""
    interval = newcombe(PairedCounts(0, n, 0, 0))
    assert interval.high == 1
    lost = 1 - wilson(n, n).low
    assert interval.low == pytest.approx(1 - (2 * lost**2) ** 0.5)


def test_pairs_that_agree_have_a_difference_of_zero_inside_a_symmetric_interval() -> None:
    interval = newcombe(PairedCounts(10, 0, 0, 10))
    assert paired_difference(PairedCounts(10, 0, 0, 10)) == 0
    assert interval.low == pytest.approx(-interval.high)
    assert 0 < interval.high < 0.2


def test_correlated_pairs_have_the_narrower_interval() -> None:
    correlated, opposed = newcombe(PairedCounts(40, 10, 10, 40)), newcombe(PairedCounts(10, 40, 40, 10))
    assert correlated.high - correlated.low < opposed.high - opposed.low


def test_a_difference_of_no_pairs_raises() -> None:
    with pytest.raises(MetricError, match="at least one pair"):
        paired_difference(PairedCounts(0, 0, 0, 0))
    with pytest.raises(MetricError, match="at least one pair"):
        newcombe(PairedCounts(0, 0, 0, 0))
