"""PSR against gradients: whether a method protects better for the gradients that it takes, or only by taking more."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor, log10

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from orchestrator.experiment.grid import CONTROL, CloakKey, Grid
from orchestrator.metrics.psr import CellResult, Rate, interval_kind
from orchestrator.report.figures.lines import draw_level, draw_nothing, legend_entry, percent_axis, segments
from orchestrator.report.figures.notes import CONTROL as NO_CLOAK
from orchestrator.report.figures.notes import lines_sentences, paragraph
from orchestrator.report.figures.sheet import Room, sheet
from orchestrator.report.figures.style import LineStyle, method_order, method_styles, style
from orchestrator.report.titles import title

PANEL_HEIGHT = 2.1  # inches
HEADING = 28  # characters of a line beside a row; the name of an ensemble takes several lines
MARKERS = (2.5, 7.0)  # points: the sizes at the smallest and the largest epsilon
BAR_OPACITY = 0.6
MARGIN = 1.6  # of the axis beyond the points, as a factor: at least one of 1, 2, 5, 10, 20, ... is then on it

Gradients = Mapping[CloakKey, float]  # that a cloak takes, the mean over the subjects


@dataclass(frozen=True)
class Point:
    """PSR@k of one cell, and the gradients that each of its cloaks took."""

    gradients: float
    psr: Rate


@dataclass(frozen=True)
class Panel:
    """One panel: what one source model crafted, read by one target model."""

    source_model: str
    target_model: str
    lines: Mapping[str, Mapping[int, Point | None]]  # by method and rising epsilon; None where nothing was observed
    control: Rate | None

    @property
    def points(self) -> list[Point | None]:
        """Those of all lines."""
        return [point for line in self.lines.values() for point in line.values()]

    @property
    def rates(self) -> list[Rate | None]:
        """All that is drawn."""
        return [*(None if point is None else point.psr for point in self.points), self.control]


def methods_with_gradients(gradients: Gradients, grid: Grid) -> tuple[str, ...]:
    """The methods that have a place on an axis of gradients: ILLC, BIM, then others."""
    taking = {key.method for key, number in gradients.items() if number > 0}
    return tuple(method for method in method_order(grid) if method in taking)


def series(results: Sequence[CellResult], grid: Grid, *, gradients: Gradients, k: int) -> tuple[tuple[Panel, ...], ...]:
    """The panels: a row for each source model, a column for each target model.

    A cell whose cloaks took no gradients is left out.
    """
    psr = {result.cell: result.psr for result in results if result.k == k}

    def line(source_model: str, method: str, target_model: str) -> dict[int, Point | None]:
        cells = [grid.cell(source_model, method, epsilon, target_model) for epsilon in sorted(grid.budgets(method))]
        return {
            cell.epsilon: Point(gradients[cell.cloak], psr[cell]) if cell in psr else None
            for cell in cells
            if cell not in psr or gradients.get(cell.cloak, 0) > 0
        }

    methods = methods_with_gradients(gradients, grid)
    return tuple(
        tuple(
            Panel(
                source_model,
                target_model,
                {method: line(source_model, method, target_model) for method in methods},
                psr.get(grid.cell(source_model, CONTROL, 0, target_model)),
            )
            for target_model in grid.target_models
        )
        for source_model in grid.source_models
    )


def effort(results: Sequence[CellResult], grid: Grid, *, gradients: Gradients, k: int, caveat: str = "") -> Figure:
    """The figure, of methods that take gradients; `caveat` says why these are not the paper's figures."""
    rows = series(results, grid, gradients=gradients, k=k)
    methods = methods_with_gradients(gradients, grid)
    styles = method_styles(grid)
    epsilons = sorted({epsilon for method in methods for epsilon in grid.budgets(method)})
    others = [title(method) for method in method_order(grid) if method not in methods]
    headings = {name: textwrap.wrap(f"crafted with {title(name)}", HEADING) for name in grid.source_models}
    spent = [point.gradients for row in rows for panel in row for point in panel.points if point is not None]
    with style():
        drawn = sheet(
            len(rows),
            len(grid.target_models),
            title=f"PSR@{k} against the gradients spent on a cloak",
            panel_height=PANEL_HEIGHT,
            legend=[
                *(legend_entry(styles[method], title(method)) for method in methods),
                legend_entry(styles[CONTROL], "control"),
            ],
            notes=paragraph(
                "A point for each ε: the larger the marker, the larger ε." if len(epsilons) > 1 else _only(epsilons),
                "Gradients are those that a cloak takes if it is crafted alone, the mean over the photographs.",
                f"Left out, as they take none: {', '.join(others)}." if others else "",
                *lines_sentences(
                    [rate for row in rows for panel in row for rate in panel.rates],
                    interval_kind(results),
                    controls=NO_CLOAK,
                    drawn="Bars",
                ),
                caveat=caveat,
            ),
            room=Room(left=0.68 + 0.18 * max(map(len, headings.values())), right=0.25, top=0.2, above=0.1),
        )
        for row, axes_row in zip(rows, drawn.panels, strict=True):
            for panel, axes in zip(row, axes_row, strict=True):
                _draw(axes, panel, styles, epsilons)
                _gradient_axis(axes, spent, labelled=row is rows[-1])
                percent_axis(
                    axes, label="\n".join([*headings[panel.source_model], f"PSR@{k}, %"]) if panel is row[0] else ""
                )
                axes.set_title(f"read by {title(panel.target_model)}" if row is rows[0] else "", pad=6)
    return drawn.figure


def _only(epsilons: Sequence[int]) -> str:
    return f"ε is {epsilons[0]}." if any(epsilons) else ""


def _draw(axes: Axes, panel: Panel, styles: Mapping[str, LineStyle], epsilons: Sequence[int]) -> None:
    if not any(panel.rates):
        draw_nothing(axes)
    draw_level(axes, panel.control, styles[CONTROL])
    sizes = dict(zip(epsilons, np.linspace(*MARKERS, len(epsilons)), strict=True))
    for place, (method, line) in enumerate(panel.lines.items()):
        look, order = styles[method], 3 + place / 10
        for points in segments(line):
            spent = [point.gradients for point in points.values()]
            percents = [point.psr.percent for point in points.values()]
            intervals = [point.psr.interval for point in points.values()]
            lows, highs = [interval.low for interval in intervals], [interval.high for interval in intervals]
            axes.vlines(spent, lows, highs, color=look.colour, linewidth=0.8, alpha=BAR_OPACITY, zorder=2)
            axes.plot(spent, percents, color=look.colour, linewidth=1.2, zorder=order, clip_on=False)
            axes.scatter(
                spent,
                percents,
                s=[sizes[epsilon] ** 2 for epsilon in points],
                marker=look.marker,
                facecolors=look.face,
                edgecolors=look.colour,
                linewidths=0.9,
                zorder=order + 0.05,
                clip_on=False,
            )


def _gradient_axis(axes: Axes, spent: Sequence[float], *, labelled: bool) -> None:
    """A log axis that is the same for all panels; its ticks are powers of ten, and 2 and 5 times these where it is short."""
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    if spent:
        low, high = min(spent) / MARGIN, max(spent) * MARGIN
        powers = [10.0**exponent for exponent in range(floor(log10(low)), floor(log10(high)) + 1)]
        ticks = [power for power in powers if power >= low]
        if len(ticks) < 3:
            ticks = [tick for power in powers for tick in (power, 2 * power, 5 * power) if low <= tick <= high]
        axes.set_xlim(low, high)
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    if labelled:
        axes.set_xlabel("gradients spent on a cloak")
    axes.tick_params(labelbottom=labelled)
