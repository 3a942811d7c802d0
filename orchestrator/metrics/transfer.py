"""The transfer matrix: how cloaks of each source model fare with each target model."""

from collections.abc import Sequence

from orchestrator.experiment.grid import Cell, Grid
from orchestrator.metrics.psr import CellResult


def transfer_matrix(
    results: Sequence[CellResult], grid: Grid, *, method: str, epsilon: int, k: int
) -> list[list[CellResult | None]]:
    """PSR@k of one method at one epsilon: a row for each source model, a column for each target model, in the grid's order.

    None where nothing was observed.
    """
    found = {result.cell: result for result in results if result.k == k}
    return [
        [found.get(Cell(source_model, method, epsilon, target_model)) for target_model in grid.target_models]
        for source_model in grid.source_models
    ]
