"""What crafting takes of the source models, and how much more than noise it protects from others."""

from collections.abc import Sequence

from orchestrator.experiment.grid import Grid, shares_network
from orchestrator.experiment.intervals import IntervalKind
from orchestrator.metrics.averages import average_difference
from orchestrator.metrics.matrix import RankMatrix
from orchestrator.report.crafting import Summaries
from orchestrator.report.tables import ABSENT, FIXED_N, Table, Value, budget, decimal, difference, integer, method_title
from orchestrator.store.crafting import CraftingSummary


def effort_table(matrix: RankMatrix, grid: Grid, summaries: Summaries, *, k: int, kind: IntervalKind) -> Table | None:
    """A row for each method and epsilon, of cloaks that another model reads; None where no other does.

    `kind` is that of the intervals of the run's rates.
    """
    pairs = [
        (source, target)
        for source in grid.source_models
        for target in grid.target_models
        if not shares_network(source, target)
    ]
    if not pairs:
        return None
    rows = []
    for method in grid.methods:
        for epsilon in sorted(grid.budgets(method)):
            cells = [grid.cell(source, method, epsilon, target) for source, target in pairs]
            crafted = [summaries[key] for key in dict.fromkeys(cell.cloak for cell in cells) if key in summaries]
            names = (Value(method_title(method)), budget(method, epsilon))
            above_noise = average_difference(matrix, [(cell, cell.noise) for cell in cells], k=k)
            rows.append((*names, *_effort(crafted), difference(above_noise)))
    return Table(
        name="effort",
        title="Gradients spent, and PSR above noise",
        note="Gradients of source models that a cloak takes if it is crafted alone, and forward passes beside them: means "
        f"over the cloaks. PSR@{k} minus that of noise of the same size on the same probes, in points, with its 95 % "
        f"interval: the mean over all pairs of a source model and another model that reads. {FIXED_N[kind]}".strip(),
        columns=("method", "ε", "gradients", "forward passes", f"PSR@{k} − noise"),
        rows=tuple(rows),
    )


def _effort(crafted: Sequence[CraftingSummary]) -> tuple[Value, Value]:
    cloaks = sum(summary.cloaks for summary in crafted)
    if not cloaks:
        return ABSENT, ABSENT
    gradients = sum(summary.cloaks * summary.gradients for summary in crafted) / cloaks
    forward_passes = sum(summary.cloaks * summary.forward_passes for summary in crafted) / cloaks
    return _mean(gradients), _mean(forward_passes)


def _mean(value: float) -> Value:
    """With a decimal place where it has one."""
    return integer(round(value)) if abs(value - round(value)) < 0.05 else decimal(value)
