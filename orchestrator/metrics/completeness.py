"""Which cells are short: a failed call is no observation, and a figure of fewer than N must not pass for one of N."""

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.experiment.grid import Cell, Grid
from orchestrator.metrics.matrix import RankMatrix


@dataclass(frozen=True)
class ShortCell:
    """A cell with fewer observations than a run was to have."""

    cell: Cell
    n: int  # observed


def short_cells(matrix: RankMatrix, grid: Grid, *, subjects: int) -> Iterator[ShortCell]:
    """The cells of a grid with fewer than `subjects` observations, in the grid's order."""
    for cell in grid.cells():
        n = int(matrix.observed(cell).sum())
        if n < subjects:
            yield ShortCell(cell, n)
