"""The metrics of a run that are shown of it, on a terminal and on its page."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from orchestrator.experiment.condition import Condition
from orchestrator.experiment.grid import METHODS, Grid, headline_k
from orchestrator.experiment.intervals import IntervalKind
from orchestrator.metrics.matrix import RankMatrix
from orchestrator.metrics.non_mated import FalsePositives, NonMatedSearch, false_positives
from orchestrator.metrics.paired_methods import PairedMethods, compare_methods
from orchestrator.metrics.psr import CellResult, results_of
from orchestrator.report.matchers import NO_MATCHERS, Matchers


@dataclass(frozen=True)
class Measured:
    """The metrics of a run; `headline` has those of the condition that headlines and figures are of, alone."""

    grid: Grid
    results: list[CellResult]
    k: int | None  # that headlines are read at; None where nothing was observed
    first: str  # the methods compared
    second: str
    paired: list[PairedMethods]  # at that k; empty where the run has not both
    matchers: Matchers = NO_MATCHERS
    at: Mapping[str, list[CellResult]] = field(default_factory=dict)  # by threshold, of the matchers that have it
    false_positives: list[FalsePositives] = field(default_factory=list)

    @property
    def target_matchers(self) -> tuple[str, ...]:
        """The target models that compare with a gallery."""
        return tuple(name for name in self.grid.target_models if name in self.matchers.galleries)

    @cached_property
    def headline(self) -> "Measured":
        condition = self.grid.condition
        return replace(
            self,
            grid=self.grid.under(condition),
            results=_under(self.results, condition),
            at={threshold: _under(results, condition) for threshold, results in self.at.items()},
            false_positives=[each for each in self.false_positives if each.condition == condition],
        )


def _under(results: Iterable[CellResult], condition: Condition) -> list[CellResult]:
    return [result for result in results if result.cell.condition == condition]


def measure(
    matrix: RankMatrix,
    grid: Grid,
    kind: IntervalKind,
    *,
    matchers: Matchers = NO_MATCHERS,
    at: Mapping[str, RankMatrix] | None = None,
    non_mated: Iterable[NonMatedSearch] = (),
) -> Measured:
    """All metrics, once.

    Args:
        matrix: the ranks of all target models.
        grid: of the run.
        kind: of the intervals of PSR and of faces found.
        matchers: which models have a gallery.
        at: by threshold, the ranks of the matchers that have it; BEYOND where the true identity does not reach it.
        non_mated: searches of people who are not enrolled.
    """
    ks = [k for k in grid.ks if k <= matrix.candidates]
    k = headline_k(ks)
    # The paper's two, or else the first two of the run that have epsilons, or else that have none.
    comparable = grid.budgeted if len(grid.budgeted) > 1 else grid.unbudgeted
    first, second = METHODS if set(METHODS) <= set(grid.budgeted) or len(comparable) < 2 else comparable[:2]
    paired = [] if k is None else compare_methods(matrix, grid, k=k, first=first, second=second)
    return Measured(
        grid,
        list(results_of(matrix, ks=ks, kind=kind)),
        k,
        first,
        second,
        paired,
        matchers,
        {threshold: list(results_of(ranks, ks=ks, kind=kind)) for threshold, ranks in (at or {}).items()},
        false_positives(non_mated),
    )
