"""Confidence intervals of proportions and of paired differences between them."""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

from orchestrator.errors import MetricError

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A closed interval."""

    low: float
    high: float

    @property
    def halfwidth(self) -> float:
        return (self.high - self.low) / 2


def wilson(successes: int, n: int, *, confidence: float = CONFIDENCE) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927, JASA 22:209).

    Raises:
        MetricError: n is 0, or successes is not 0..n.
    """
    if n < 1 or not 0 <= successes <= n:
        raise MetricError(f"an interval needs 0 <= successes <= n and n >= 1, got {successes} of {n}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # At the ends the limits are exactly 0 and 1; floating point misses them by an ulp.
    return Interval(0.0 if successes == 0 else centre - half, 1.0 if successes == n else centre + half)


@dataclass(frozen=True)
class PairedCounts:
    """A paired two-by-two table: how often both, only the first, only the second, or neither succeeded."""

    both: int
    first_only: int
    second_only: int
    neither: int

    @property
    def n(self) -> int:
        return self.both + self.first_only + self.second_only + self.neither


def paired_difference(counts: PairedCounts) -> float:
    """Proportion of the first minus that of the second.

    Raises:
        MetricError: there are no pairs.
    """
    if counts.n < 1:
        raise MetricError("a paired difference needs at least one pair, got none")
    return (counts.first_only - counts.second_only) / counts.n


def newcombe(counts: PairedCounts) -> Interval:
    """Newcombe's square-and-add 95 % interval of a paired difference (1998, Statistics in Medicine 17:2635, method 10).

    Raises:
        MetricError: there are no pairs.
    """
    difference, n = paired_difference(counts), counts.n
    first, second = counts.both + counts.first_only, counts.both + counts.second_only
    p1, p2 = first / n, second / n
    interval1, interval2 = wilson(first, n), wilson(second, n)
    below1, above1 = p1 - interval1.low, interval1.high - p1
    below2, above2 = p2 - interval2.low, interval2.high - p2
    phi = _correlation(counts)
    return Interval(
        difference - sqrt(max(0.0, below1**2 - 2 * phi * below1 * above2 + above2**2)),
        difference + sqrt(max(0.0, above1**2 - 2 * phi * above1 * below2 + below2**2)),
    )


def _correlation(counts: PairedCounts) -> float:
    """Newcombe's estimate of the correlation: phi, corrected for continuity where it is positive; 0 on an empty margin."""
    a, b, c, d = counts.both, counts.first_only, counts.second_only, counts.neither
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    if margins == 0:
        return 0.0
    cross = a * d - b * c
    if cross > 0:
        cross_corrected = max(cross - counts.n / 2, 0.0)
        return cross_corrected / sqrt(margins)
    return cross / sqrt(margins)
