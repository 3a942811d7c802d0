"""One method against another on the same probes, cell by cell."""

from dataclasses import dataclass, replace

from orchestrator.experiment.grid import Cell, Grid
from orchestrator.metrics.matrix import RankMatrix
from orchestrator.metrics.mcnemar import holm, mcnemar_exact
from orchestrator.metrics.psr import Difference, difference_of


@dataclass(frozen=True)
class PairedMethods:
    """PSR@k of one method minus that of another: same source model, epsilon, target model and probes."""

    cell: Cell  # of the first method
    k: int
    difference: Difference  # the first method minus the second
    p: float  # exact McNemar, two-sided
    adjusted_p: float  # Holm over the cells of one comparison


def compare_methods(
    matrix: RankMatrix, grid: Grid, *, k: int, first: str = "bim", second: str = "illc"
) -> list[PairedMethods]:
    """Compares two methods in every cell of the grid's headline condition where some probe was observed with both.

    Holm corrects over these cells, at this k. Empty where the grid lacks one of the methods, or where they have no budget in
    common.

    Raises:
        MetricError: fewer than k candidates were asked for.
    """
    if not {first, second} <= set(grid.methods):
        return []
    cells = [
        grid.cell(source_model, first, epsilon, target_model)
        for source_model in grid.source_models
        for target_model in grid.readers(grid.condition)
        for epsilon in grid.budgets(first)
        if epsilon in grid.budgets(second)
    ]
    differences = [(cell, difference_of(matrix, cell, replace(cell, method=second), k=k)) for cell in cells]
    compared = [(cell, difference) for cell, difference in differences if difference is not None]
    p_values = [mcnemar_exact(difference.counts) for _, difference in compared]
    return [
        PairedMethods(cell, k, difference, p, adjusted_p)
        for (cell, difference), p, adjusted_p in zip(compared, p_values, holm(p_values), strict=True)
    ]
