"""The widest interval of a run: by which one that draws until all are narrow goes on or stops."""

from typing import NamedTuple

import numpy as np

from orchestrator.experiment.grid import Cell, Grid
from orchestrator.metrics.confidence_sequence import confidence_sequence
from orchestrator.metrics.matrix import RankMatrix


class Widest(NamedTuple):
    """The cell, and the k of PSR@k, with the widest interval."""

    cell: Cell
    k: int
    halfwidth: float  # of its confidence sequence, points


def widest(matrix: RankMatrix, grid: Grid) -> Widest:
    """Over every cell of the grid, controls too, at every k; of several as wide the first in the grid's order.

    A cell that was not observed is as wide as can be, ± 50 points.

    Raises:
        MetricError: a k is beyond the candidates that were asked for.
    """
    return max((_of_cell(matrix, cell, k) for cell in grid.cells() for k in grid.ks), key=lambda each: each.halfwidth)


def _of_cell(matrix: RankMatrix, cell: Cell, k: int) -> Widest:
    n = int(np.count_nonzero(matrix.observed(cell)))
    protected = int(np.count_nonzero(matrix.protected(cell, k))) if n else 0
    return Widest(cell, k, 100 * confidence_sequence(protected, n).halfwidth)
