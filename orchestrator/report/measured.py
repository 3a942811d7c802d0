"""The metrics of a run that are shown of it, on a terminal and on its page."""

from dataclasses import dataclass, replace
from functools import cached_property

from orchestrator.experiment.grid import METHODS, Grid, headline_k
from orchestrator.experiment.intervals import IntervalKind
from orchestrator.metrics.matrix import RankMatrix
from orchestrator.metrics.paired_methods import PairedMethods, compare_methods
from orchestrator.metrics.psr import CellResult, results_of


@dataclass(frozen=True)
class Measured:
    """The metrics of a run; `headline` has those of the condition that headlines and figures are of, alone."""

    grid: Grid
    results: list[CellResult]
    k: int | None  # that headlines are read at; None where nothing was observed
    first: str  # the methods compared
    second: str
    paired: list[PairedMethods]  # at that k; empty where the run has not both

    @cached_property
    def headline(self) -> "Measured":
        condition = self.grid.condition
        results = [result for result in self.results if result.cell.condition == condition]
        return replace(self, grid=self.grid.under(condition), results=results)


def measure(matrix: RankMatrix, grid: Grid, kind: IntervalKind) -> Measured:
    """All metrics, once; `kind` is that of the intervals of its rates."""
    ks = [k for k in grid.ks if k <= matrix.candidates]
    k = headline_k(ks)
    # The paper's two, or else the first two of the run that have epsilons, or else that have none.
    comparable = grid.budgeted if len(grid.budgeted) > 1 else grid.unbudgeted
    first, second = METHODS if set(METHODS) <= set(grid.budgeted) or len(comparable) < 2 else comparable[:2]
    paired = [] if k is None else compare_methods(matrix, grid, k=k, first=first, second=second)
    return Measured(grid, list(results_of(matrix, ks=ks, kind=kind)), k, first, second, paired)
