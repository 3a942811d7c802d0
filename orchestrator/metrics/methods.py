"""One method against another on the same probes, cell by cell."""

from dataclasses import dataclass

from orchestrator.experiment.grid import Cell, Grid
from orchestrator.metrics.matrix import RankMatrix
from orchestrator.metrics.mcnemar import holm, mcnemar_exact
from orchestrator.metrics.psr import Difference, difference_of


@dataclass(frozen=True)
class PairedMethods:
    """PSR@k of one method minus that of another: same source model, epsilon, target model and probes."""

    source_model: str
    target_model: str
    epsilon: int  # levels
    k: int
    difference: Difference  # the first method minus the second
    p: float  # exact McNemar, two-sided
    adjusted_p: float  # Holm over the cells of one comparison


def compare_methods(
    matrix: RankMatrix, grid: Grid, *, k: int, first: str = "bim", second: str = "illc"
) -> list[PairedMethods]:
    """Compares two methods in every cell where some probe was observed with both, in the grid's order.

    Holm corrects over these cells, at this k. Empty where the grid lacks one of the methods.

    Raises:
        MetricError: fewer than k candidates were asked for.
    """
    if not {first, second} <= set(grid.methods):
        return []
    places = [
        (source_model, target_model, epsilon)
        for source_model in grid.source_models
        for target_model in grid.target_models
        for epsilon in grid.epsilons
    ]
    compared = [
        (place, difference)
        for place in places
        if (difference := _difference(matrix, place, first=first, second=second, k=k)) is not None
    ]
    p_values = [mcnemar_exact(difference.counts) for _, difference in compared]
    return [
        PairedMethods(*place, k=k, difference=difference, p=p, adjusted_p=adjusted)
        for (place, difference), p, adjusted in zip(compared, p_values, holm(p_values), strict=True)
    ]


def _difference(matrix: RankMatrix, place: tuple[str, str, int], *, first: str, second: str, k: int) -> Difference | None:
    source_model, target_model, epsilon = place
    return difference_of(
        matrix,
        Cell(source_model, first, epsilon, target_model),
        Cell(source_model, second, epsilon, target_model),
        k=k,
    )
