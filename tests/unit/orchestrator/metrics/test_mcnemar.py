"""McNemar's exact test and Holm's correction against SciPy and statsmodels."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from orchestrator.errors import MetricError
from orchestrator.metrics.intervals import PairedCounts
from orchestrator.metrics.mcnemar import holm, mcnemar_exact, signs


@pytest.mark.parametrize("discordant", [1, 2, 3, 10, 31, 200])
def test_it_is_the_two_sided_binomial_test_of_the_pairs_that_disagree(discordant: int) -> None:
    for first_only in range(discordant + 1):
        p = mcnemar_exact(PairedCounts(7, first_only, discordant - first_only, 11))
        assert p == pytest.approx(binomtest(first_only, discordant, 0.5).pvalue, rel=1e-10)


@settings(deadline=None)
@given(
    st.builds(PairedCounts, *([st.integers(0, 80)] * 4)).filter(lambda counts: counts.first_only + counts.second_only > 0)
)
def test_it_agrees_with_statsmodels(counts: PairedCounts) -> None:
    table = np.array([[counts.both, counts.first_only], [counts.second_only, counts.neither]])
    assert mcnemar_exact(counts) == pytest.approx(mcnemar(table, exact=True).pvalue, rel=1e-10)


@pytest.mark.parametrize(("first_only", "second_only"), [(2800, 3048), (2900, 2948), (400_000, 401_500)])
def test_thousands_of_pairs_neither_overflow_nor_lose_their_digits(first_only: int, second_only: int) -> None:
    expected = binomtest(first_only, first_only + second_only, 0.5).pvalue
    assert 0 < expected < 1
    assert mcnemar_exact(PairedCounts(0, first_only, second_only, 0)) == pytest.approx(expected, rel=1e-8)


def test_a_p_too_small_for_a_float_is_zero() -> None:
    assert mcnemar_exact(PairedCounts(0, 5848, 0, 0)) == 0


def test_pairs_that_all_agree_tell_nothing() -> None:
    assert mcnemar_exact(PairedCounts(5, 0, 0, 5)) == 1
    assert mcnemar_exact(PairedCounts(0, 0, 0, 0)) == 1


@settings(deadline=None)
@given(st.lists(st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.01, 0.05, 1.0])), min_size=1, max_size=30))
def test_holm_agrees_with_statsmodels_in_the_given_order(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]), rel=1e-12, abs=1e-300)


def test_holm_of_nothing_is_nothing() -> None:
    assert holm([]) == []


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_holm_refuses_what_is_no_probability(p: float) -> None:
    with pytest.raises(MetricError, match=r"lies in 0\.\.1"):
        holm([0.5, p])


def test_a_sign_is_what_holds_after_the_correction() -> None:
    clear, other_way, alone_only = PairedCounts(0, 20, 0, 0), PairedCounts(0, 0, 20, 0), PairedCounts(0, 6, 0, 0)
    assert signs([alone_only]) == [1]  # p = 0.031
    assert signs([clear, other_way, alone_only, PairedCounts(9, 1, 1, 9)]) == [1, -1, 0, 0]
    assert signs([]) == []
