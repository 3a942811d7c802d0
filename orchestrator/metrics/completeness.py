"""Which cells are short: a failed call is no observation, and a figure of fewer than N must not pass for one of N."""

from orchestrator.experiment.grid import Cell, Grid
from orchestrator.metrics.matrix import RankMatrix


def short_cells(matrix: RankMatrix, grid: Grid, *, subjects: int) -> dict[Cell, int]:
    """The cells of a grid with fewer than `subjects` observations, and how many each has."""
    observed = {cell: int(matrix.observed(cell).sum()) for cell in grid.cells()}
    return {cell: n for cell, n in observed.items() if n < subjects}
