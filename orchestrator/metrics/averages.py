"""Averages over several cells of the same probes.

A probe's answers in several cells are no independent observations: a face that one target model loses easily, another loses
easily too, and the same cloak is read by all. Adding up the pairs of all cells, as if 12 probes in 54 cells were 648
subjects, would make every interval far too narrow. So each probe is first averaged over its cells to one number, and only
these numbers, one for each independently drawn subject, are counted: N is the number of probes, however many the cells.
Nothing is assumed about how a probe's cells depend on each other: not at all, wholly, or anything between.

The interval is a Wald interval after adding pseudo-probes, which keep it from shrinking to a point where few probes agree:

* a difference gets one probe of -1 and one of +1. With a single pair of cells this is the interval of Bonett and Price
  (2012, Journal of Educational and Behavioral Statistics 37:479), which Fagerland, Lydersen and Laake (2014, Statistics in
  Medicine 33:2850) recommend. Newcombe's, which single cells have, is not defined for averages.
* a share gets two probes of 0 and two of 1. With a single cell this is the 95 % interval of Agresti and Coull (1998,
  American Statistician 52:119) in its short form, "add two successes and two failures".

Every probe weighs the same. One that was not observed in some cells counts with the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import MetricError
from orchestrator.experiment.grid import Cell
from orchestrator.metrics.intervals import CONFIDENCE, Interval
from orchestrator.metrics.matrix import RankMatrix

Values = NDArray[np.float64]

OF_A_DIFFERENCE = (-1.0, 1.0)
OF_A_SHARE = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Average:
    """A mean over probes of their means over cells, in percent or points, with its interval."""

    points: float
    interval: Interval
    n: int  # probes


def average_psr(matrix: RankMatrix, cells: Sequence[Cell], *, k: int) -> Average | None:
    """PSR@k averaged over cells, in percent; None where no probe was observed in any.

    Raises:
        MetricError: fewer than k candidates were asked for.
    """
    values = [np.where(matrix.observed(cell), matrix.protected(cell, k), np.nan) for cell in cells]
    return _average(values, pseudo=OF_A_SHARE)


def average_difference(
    matrix: RankMatrix, pairs: Sequence[tuple[Cell, Cell]], *, k: int, confidence: float = CONFIDENCE
) -> Average | None:
    """PSR@k of the first cell minus that of the second, averaged over pairs of cells, in points.

    Only probes observed in both cells of a pair count in it; None where there is none in any.

    Raises:
        MetricError: fewer than k candidates were asked for.
    """
    values = [
        _difference(
            matrix.protected(first, k), matrix.protected(second, k), matrix.observed(first) & matrix.observed(second)
        )
        for first, second in pairs
    ]
    return _average(values, pseudo=OF_A_DIFFERENCE, confidence=confidence)


def trigger_difference(matrix: RankMatrix, pairs: Sequence[tuple[Cell, Cell]], *, k: int) -> Average | None:
    """How much more often cloaks take a recognised probe away under one condition than under another, in points.

    PSR@k of the first cell of each pair minus that of the second, which is the same under another condition. What a
    condition does to any picture is left out, so that the trigger alone is compared: a probe counts in a pair only where its
    control is recognised under both (true identity among the first k), and a face is found in its cloak under both. The
    latter is itself an outcome: this is a statement about faces that are found.

    None where no probe counts in any cell.

    Raises:
        MetricError: fewer than k candidates were asked for.
    """
    values = []
    for first, second in pairs:
        counts = np.ones(len(matrix.probes), dtype=np.bool_)
        for cell in (first, second):
            counts &= matrix.detected(cell) & matrix.observed(cell.control) & ~matrix.protected(cell.control, k)
        values.append(_difference(matrix.protected(first, k), matrix.protected(second, k), counts))
    return _average(values, pseudo=OF_A_DIFFERENCE)


def _difference(first: NDArray[np.bool_], second: NDArray[np.bool_], counts: NDArray[np.bool_]) -> Values:
    return np.where(counts, first.astype(np.float64) - second, np.nan)


def _average(values: Sequence[Values], *, pseudo: Sequence[float], confidence: float = CONFIDENCE) -> Average | None:
    """Over a sequence of cells, each (probes,), NaN where a probe does not count; values lie within those of `pseudo`."""
    if not 0 < confidence < 1:
        raise MetricError(f"a confidence lies between 0 and 1, got {confidence}")
    if not values:
        return None
    table = np.stack(values)
    counts = np.count_nonzero(~np.isnan(table), axis=0)
    means = np.nansum(table, axis=0)[counts > 0] / counts[counts > 0]
    if not len(means):
        return None
    padded = np.concatenate([means, pseudo])
    half = NormalDist().inv_cdf((1 + confidence) / 2) * float(padded.std()) / sqrt(len(padded))
    centre = float(padded.mean())
    return Average(
        points=100 * float(means.mean()),
        interval=Interval(100 * max(min(pseudo), centre - half), 100 * min(max(pseudo), centre + half)),
        n=len(means),
    )
