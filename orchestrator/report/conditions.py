"""What conditions do to cloaks, and to pictures without one: PSR under each, beside that under the headline condition."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from orchestrator.experiment.carrier import Carrier
from orchestrator.experiment.condition import Condition
from orchestrator.experiment.grid import CONTROL, Cell, Grid
from orchestrator.experiment.intervals import IntervalKind
from orchestrator.metrics.averages import Average, average_difference, average_psr
from orchestrator.metrics.matrix import RankMatrix
from orchestrator.metrics.mcnemar import signs
from orchestrator.metrics.psr import difference_of
from orchestrator.report.facts import Fact
from orchestrator.report.panels import ConditionPanel
from orchestrator.report.sentences import headline_budget, limits, signed
from orchestrator.report.tables import ABSENT, FIXED_N, Table, Value, budget, decimal, difference, method_title, number


@dataclass(frozen=True)
class UnderCondition:
    """One kind of cloak under one condition, read by models of one kind: means over the probes of their means over cells."""

    psr: Average | None  # percent; None where nothing was observed
    change: Average | None  # points, paired, from the headline condition; None for that condition itself
    higher: int  # cells in which PSR is higher than under the headline condition: exact McNemar, Holm over these cells
    lower: int
    cells: int


def searched(grid: Grid) -> Grid | None:
    """The grid under the conditions in which the searched picture alone wears the cloak; None where fewer than two are.

    What becomes of pictures that are enrolled is no effect of a condition: the threat matrix has it.
    """
    conditions = grid.carried_by(Carrier.PROBE)
    return grid.under(*conditions) if len(conditions) > 1 else None


def effect_of_condition(matrix: RankMatrix, cells: Sequence[Cell], headline: Condition, *, k: int) -> UnderCondition:
    """Cells of one condition beside the same under the headline condition.

    Raises:
        MetricError: fewer than k candidates were asked for.
    """
    psr = average_psr(matrix, cells, k=k)
    pairs = [(cell, replace(cell, condition=headline)) for cell in cells if cell.condition != headline]
    differences = [difference_of(matrix, *pair, k=k) for pair in pairs]
    shown = signs([each.counts for each in differences if each is not None])
    change = average_difference(matrix, pairs, k=k) if pairs else None
    return UnderCondition(psr, change, shown.count(1), shown.count(-1), len(shown))


def own_and_other(grid: Grid, method: str, epsilon: int, condition: Condition) -> tuple[list[Cell], list[Cell]]:
    """The cells that the source model itself reads, and those that another does."""
    cells = [
        Cell(source_model, method, epsilon, condition, target_model)
        for source_model in grid.source_models
        for target_model in grid.readers(condition)
    ]
    return [cell for cell in cells if cell.is_white_box], [cell for cell in cells if not cell.is_white_box]


def condition_panels(matrix: RankMatrix, grid: Grid, *, k: int) -> list[ConditionPanel]:
    """What the figure of conditions shows, of at least two; no panel for a reader that no cell of the grid has."""

    def rows(reader: int) -> dict[Condition, dict[str, Average | None]]:
        return {
            condition: {
                method: average_psr(
                    matrix, own_and_other(grid, method, headline_budget(grid, method), condition)[reader], k=k
                )
                for method in grid.all_methods
            }
            for condition in grid.conditions
        }

    panels = [ConditionPanel("its own model", rows(0)), ConditionPanel("another model", rows(1))]
    return [panel for panel in panels if any(any(of_methods.values()) for of_methods in panel.rows.values())]


def conditions_table(matrix: RankMatrix, grid: Grid, *, k: int, kind: IntervalKind) -> Table | None:
    """A row for each condition, method and epsilon, controls too; None where there are no two that can be compared.

    `kind` is that of the intervals of the run's rates.
    """
    compared = searched(grid)
    if compared is None:
        return None
    headline = compared.condition
    rows = []
    for condition in compared.conditions:
        for method in grid.all_methods:
            for epsilon in sorted(grid.budgets(method)):
                names = (Value(str(condition)), Value(method_title(method)), budget(method, epsilon))
                found = [
                    value
                    for cells in own_and_other(grid, method, epsilon, condition)
                    for value in _values(effect_of_condition(matrix, cells, headline, k=k))
                ]
                rows.append((*names, *found))
    of_reader = (f"PSR@{k}", f"minus {headline}", "cells")
    return Table(
        name="conditions",
        title="What conditions do",
        note=f"PSR@{k} in %, and its paired difference in points from that under {headline}, with 95 % intervals: means "
        "over pairs of a source and a target model, of each probe first. Cells: in how many of these PSR is higher, and "
        f"lower, than under {headline} (exact McNemar, Holm). A condition that raises the control's PSR loses clean faces. "
        f"{FIXED_N[kind]}".strip(),
        columns=(
            *("condition", "method", "ε"),
            *(f"own model: {column}" for column in of_reader),
            *(f"another model: {column}" for column in of_reader),
        ),
        rows=tuple(rows),
    )


def _values(found: UnderCondition) -> tuple[Value, Value, Value]:
    psr, interval = found.psr, None if found.psr is None else found.psr.interval
    shown = (
        ABSENT
        if psr is None or interval is None
        else replace(decimal(psr.points), beside=f"[{interval.low:.0f}–{interval.high:.0f}]")
    )
    cells = f"+{found.higher} −{found.lower} of {found.cells}"
    counted = ABSENT if found.change is None else number(cells, sort=found.higher - found.lower)
    return shown, difference(found.change), counted


def conditions_notices(matrix: RankMatrix, grid: Grid, *, k: int) -> Iterator[Fact]:
    """The warning on top of a page that conditions lose clean faces; nothing where none is shown to."""
    compared, costly = searched(grid), []
    for condition in () if compared is None else compared.conditions:
        cells = [cell for each in own_and_other(grid, CONTROL, 0, condition) for cell in each]
        change = effect_of_condition(matrix, cells, grid.condition, k=k).change
        if change is not None and change.interval.low > 0:
            costly.append(f"{condition} ({signed(change.points)} points [{limits(change.interval)}])")
    if costly:
        yield Fact(
            "Conditions that lose clean faces:",
            f"{'; '.join(costly)}. So much higher than under {grid.condition} is PSR@{k} of pictures without a cloak: what "
            "PSR gains there is no cloak's doing.",
        )
