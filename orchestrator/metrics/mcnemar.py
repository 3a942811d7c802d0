"""Exact tests of paired differences, and their correction for being many."""

from collections.abc import Sequence
from math import exp, lgamma, log

from orchestrator.errors import MetricError
from orchestrator.metrics.intervals import PairedCounts

SIGNIFICANCE = 0.05


def mcnemar_exact(counts: PairedCounts) -> float:
    """Two-sided exact p of McNemar's test: were the pairs that disagree tossed by a fair coin?

    The binomial form (Fagerland, Lydersen and Laake 2013, BMC Medical Research Methodology 13:91): twice the smaller tail,
    at most 1. Pairs that agree say nothing; where all agree, p is 1.
    """
    discordant = counts.first_only + counts.second_only
    fewer = min(counts.first_only, counts.second_only)
    if 2 * fewer == discordant:
        return 1.0
    # The tail by falling terms, each a share of the one before: no number grows beyond what a float holds.
    tail = term = 1.0
    for successes in range(fewer, 0, -1):
        term *= successes / (discordant - successes + 1)
        tail += term
        if term < tail * 1e-17:
            break
    logarithm = lgamma(discordant + 1) - lgamma(fewer + 1) - lgamma(discordant - fewer + 1) - discordant * log(2)
    return min(1.0, 2 * exp(logarithm) * tail)


def holm(p_values: Sequence[float]) -> list[float]:
    """P values adjusted for being several, in the given order (Holm 1979, Scandinavian Journal of Statistics 6:65).

    Rejecting where the adjusted value is at most 0.05 is wrong about any of them with a probability of at most 0.05, however
    the tests depend on each other.

    Raises:
        MetricError: one is not a probability.
    """
    for p in p_values:
        if not 0 <= p <= 1:
            raise MetricError(f"a p value lies in 0..1, got {p}")
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def signs(tables: Sequence[PairedCounts]) -> list[int]:
    """What exact McNemar tests show of each at 5 %, Holm-corrected over the tables: 1 above zero, -1 below, 0 neither."""
    adjusted = holm([mcnemar_exact(counts) for counts in tables])
    return [
        0 if p > SIGNIFICANCE else 1 if counts.first_only > counts.second_only else -1
        for counts, p in zip(tables, adjusted, strict=True)
    ]
