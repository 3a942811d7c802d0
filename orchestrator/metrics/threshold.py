"""The smallest budget that protects."""

from collections.abc import Sequence

from orchestrator.experiment.grid import Grid
from orchestrator.metrics.psr import CellResult

HIGH = 95.0  # percent: what the paper calls highly protective (section IV-C)


def smallest_epsilon(
    results: Sequence[CellResult],
    grid: Grid,
    *,
    source_model: str,
    method: str,
    target_model: str,
    k: int,
) -> int | None:
    """The smallest epsilon, in levels, from which on PSR@k stays high.

    It is high there, and so it is at every larger epsilon of the grid: a budget whose success a larger one does not keep is
    an accident of few probes, not an answer. Epsilons without observations are passed over, whatever the grid's order.

    Args:
        results: of the run's cells.
        grid: the run's.
        source_model: that crafts.
        method: by which it does.
        target_model: that classifies.
        k: of PSR@k.

    Returns:
        None where it is not reached (or nothing was observed).
    """
    rates = {
        result.cell.epsilon: result.psr
        for result in results
        if (result.cell.source_model, result.cell.method, result.cell.target_model, result.k)
        == (source_model, method, target_model, k)
    }
    smallest = None
    for epsilon in sorted(grid.epsilons, reverse=True):
        rate = rates.get(epsilon)
        if rate is None:
            continue
        if rate.percent < HIGH:
            break
        smallest = epsilon
    return smallest
