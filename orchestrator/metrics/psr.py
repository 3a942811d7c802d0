"""The protection success rate (Ghafourian et al., Eq. 6) and what stands beside it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from orchestrator.errors import MetricError
from orchestrator.experiment.grid import Cell
from orchestrator.experiment.intervals import IntervalKind
from orchestrator.metrics.confidence_sequence import confidence_sequence
from orchestrator.metrics.intervals import Interval, PairedCounts, newcombe, paired_difference, wilson
from orchestrator.metrics.matrix import RankMatrix


@dataclass(frozen=True)
class Rate:
    """A share of observations, in percent, with its interval."""

    successes: int
    n: int
    kind: IntervalKind = IntervalKind.WILSON

    @property
    def percent(self) -> float:
        if self.n == 0:
            raise MetricError("a rate of no observations is not defined")
        return 100 * self.successes / self.n

    @property
    def interval(self) -> Interval:
        limits = confidence_sequence if self.kind is IntervalKind.CONFIDENCE_SEQUENCE else wilson
        return _percent(limits(self.successes, self.n))


@dataclass(frozen=True)
class Difference:
    """A paired difference of two PSRs over the probes observed in both cells, in points, with Newcombe's interval.

    The interval is for an N that was fixed beforehand, whatever the kind of the rates'.
    """

    counts: PairedCounts

    @property
    def points(self) -> float:
        return 100 * paired_difference(self.counts)

    @property
    def interval(self) -> Interval:
        return _percent(newcombe(self.counts))


@dataclass(frozen=True)
class CellResult:
    """PSR@k of one cell."""

    cell: Cell
    k: int
    psr: Rate  # no face counts as protected, and so does who is not enrolled
    detected: Rate  # faces the invader found
    psr_of_detected: Rate | None  # PSR over those alone; None where there are none
    minus_control: Difference | None  # None where no probe is observed in both
    minus_noise: Difference | None
    not_enrolled: Rate | None = None  # of whom nothing could be enrolled; None where the condition enrols nothing


def results_of(matrix: RankMatrix, *, ks: Sequence[int], kind: IntervalKind = IntervalKind.WILSON) -> Iterator[CellResult]:
    """PSR@k of every cell that has observations, in the cells' order, with its differences from both controls.

    PSR@k = 100 - (100 / N) sum_i 1[ y_true_i in top-k of C(Adv_eps(x_i)) ], Ghafourian et al., Eq. 6. N is the number of
    observations; failed calls are none. `kind` is that of the intervals of all rates.

    Raises:
        MetricError: a k is beyond the candidates that were asked for.
    """
    rate = partial(Rate, kind=kind)
    for cell in sorted(matrix.cells):
        observed, detected = matrix.observed(cell), matrix.detected(cell)
        n, found = int(np.count_nonzero(observed)), int(np.count_nonzero(detected))
        if n == 0:
            continue
        for k in ks:
            protected = matrix.protected(cell, k)
            yield CellResult(
                cell=cell,
                k=k,
                psr=rate(int(np.count_nonzero(protected)), n),
                detected=rate(found, n),
                psr_of_detected=rate(int(np.count_nonzero(protected & detected)), found) if found else None,
                minus_control=difference_of(matrix, cell, cell.control, k=k),
                minus_noise=difference_of(matrix, cell, cell.noise, k=k),
                not_enrolled=rate(int(np.count_nonzero(matrix.not_enrolled(cell))), n)
                if cell.condition.carrier.enrols
                else None,
            )


def interval_kind(results: Iterable[CellResult]) -> IntervalKind:
    """The kind of the intervals of a run's results, which is the same for all; that of a fixed N where there are none."""
    return next((result.psr.kind for result in results), IntervalKind.WILSON)


def difference_of(
    matrix: RankMatrix, first: Cell, second: Cell, *, k: int, of_second: RankMatrix | None = None
) -> Difference | None:
    """PSR@k of the first cell minus that of the second, over the probes observed in both; None where there are none.

    `of_second`: the matrix of the second cell, with the same probes; by default the same matrix.

    Raises:
        MetricError: fewer than k candidates were asked for.
    """
    other = of_second or matrix
    pairs = matrix.observed(first) & other.observed(second)
    n = int(np.count_nonzero(pairs))
    if n == 0:
        return None
    of_first, of_other = matrix.protected(first, k) & pairs, other.protected(second, k) & pairs
    both = int(np.count_nonzero(of_first & of_other))
    first_only, second_only = (int(np.count_nonzero(each)) - both for each in (of_first, of_other))
    return Difference(PairedCounts(both, first_only, second_only, n - both - first_only - second_only))


def _percent(interval: Interval) -> Interval:
    return Interval(100 * interval.low, 100 * interval.high)
