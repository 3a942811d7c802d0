"""The printed tables: for each source model and method, target models by epsilons, for each k."""

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from orchestrator.experiment.grid import CONTROL, NOISE, Cell, Grid
from orchestrator.experiment.intervals import IntervalKind
from orchestrator.metrics.psr import (
    CellResult,
    Rate,
    interval_kind,
)
from orchestrator.report.titles import title

INTERVALS = {
    IntervalKind.WILSON: ("95 % interval", ""),
    IntervalKind.CONFIDENCE_SEQUENCE: (
        "95 % confidence sequence",
        "; intervals hold at all looks at once, each for its own cell",
    ),
}

ByCell = Mapping[tuple[Cell, int], CellResult]


def psr_tables(results: Sequence[CellResult], grid: Grid, *, subjects: int, caveat: str = "") -> list[RenderableType]:
    """The tables of a run; a cell that no probe was observed in shows a dash.

    Args:
        results: of the cells.
        grid: the run's.
        subjects: the N that was asked for, or wanted in the end.
        caveat: why these are not the paper's figures; stands under every table.
    """
    by_cell = {(result.cell, result.k): result for result in results}
    kind = interval_kind(results)
    below = Text(caveat + "\n" if caveat else "", style="italic")
    return [
        Group(_table(by_cell, grid, source_model, method, subjects, kind), below)
        for source_model in grid.source_models
        for method in grid.methods
    ]


def _table(by_cell: ByCell, grid: Grid, source_model: str, method: str, subjects: int, kind: IntervalKind) -> Table:
    interval, holds = INTERVALS[kind]
    table = Table(
        title=f"PSR in %, crafted with {escape(title(source_model))} by {escape(title(method))} [{interval}]",
        caption=f"N = {subjects} in every cell, unless it says otherwise{holds}",
        title_justify="left",
        caption_justify="left",
    )
    for column in ("k", "target model", ""):
        table.add_column(column)
    for column in ("control", *(f"ε {epsilon}" for epsilon in grid.epsilons)):
        table.add_column(column, justify="right")
    for k in grid.ks:
        for place, target_model in enumerate(grid.target_models):
            shown = [
                [_psr(by_cell.get((cell, k)), subjects) for cell in _row(grid, source_model, name, target_model)]
                for name in (method, NOISE)
            ]
            table.add_row(str(k) if place == 0 else "", escape(title(target_model)), escape(title(method)), *shown[0])
            table.add_row("", "", "noise", "", *shown[1][1:], style="dim")
        table.add_section()
    # One image is searched for a face once, whatever the target model and k.
    target_model, k = grid.target_models[0], grid.ks[0]
    for name in (method, NOISE):
        found = [_detected(by_cell.get((cell, k))) for cell in _row(grid, source_model, name, target_model)]
        table.add_row("", "faces found, %", escape(title(name)), *found)
    return table


def _row(grid: Grid, source_model: str, method: str, target_model: str) -> list[Cell]:
    """The control and then the method at every epsilon."""
    control = Cell(source_model, CONTROL, 0, target_model)
    return [control, *(Cell(source_model, method, epsilon, target_model) for epsilon in grid.epsilons)]


def _detected(result: CellResult | None) -> str:
    return "–" if result is None else f"{result.detected.percent:.1f}"


def _psr(result: CellResult | None, subjects: int) -> str:
    if result is None:
        return "–"
    return f"{_percent(result.psr)}{'' if result.psr.n == subjects else f' (N={result.psr.n})'}"


def _percent(rate: Rate) -> str:
    interval = rate.interval
    return f"{rate.percent:.1f} [{interval.low:.0f}–{interval.high:.0f}]"
