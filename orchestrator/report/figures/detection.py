"""The detection rate against epsilon: a cloak may hide the face from the detector instead of from the recognizer."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import ceil

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from orchestrator.experiment.grid import CONTROL, NOISE, CloakKey, Grid
from orchestrator.metrics.psr import CellResult, Rate, interval_kind
from orchestrator.report.figures.lines import (
    Rates,
    draw_level,
    draw_line,
    draw_nothing,
    epsilon_axis,
    legend_entry,
    percent_axis,
)
from orchestrator.report.figures.notes import lines_sentences, paragraph
from orchestrator.report.figures.sheet import Room, sheet
from orchestrator.report.figures.style import LineStyle, method_order, method_styles, style
from orchestrator.report.titles import title

PANEL_HEIGHT = 2.1  # inches
MAX_COLUMNS = 3  # so that the labels below panels have room
HEADING = 36  # characters of a line above a panel; the name of an ensemble takes several lines


@dataclass(frozen=True)
class Panel:
    """One panel: what one source model crafted."""

    source_model: str
    lines: Mapping[str, Rates]  # by method, the noise control last
    control: Rate | None

    @property
    def rates(self) -> list[Rate | None]:
        """All that is drawn."""
        return [*(rate for line in self.lines.values() for rate in line.values()), self.control]


def series(results: Iterable[CellResult], grid: Grid) -> tuple[Panel, ...]:
    """The panels, one for each source model.

    An image is searched for a face once, whatever the target model and k; where fewer observations of one target model came
    through than of another, the rate is of the one with the most.
    """
    found: dict[CloakKey, Rate] = {}
    for result in results:
        key = result.cell.cloak
        if key not in found or result.detected.n > found[key].n:
            found[key] = result.detected
    return tuple(
        Panel(
            source_model,
            {
                method: {epsilon: found.get(CloakKey(source_model, method, epsilon)) for epsilon in grid.epsilons}
                for method in (*method_order(grid), NOISE)
            },
            found.get(CloakKey(source_model, CONTROL, 0)),
        )
        for source_model in grid.source_models
    )


def detection(results: Sequence[CellResult], grid: Grid, *, caveat: str = "") -> Figure:
    """The figure: a panel for each source model, a line for each method; `caveat`: why these are not the paper's figures."""
    panels = series(results, grid)
    headings = [textwrap.wrap(f"crafted with {title(panel.source_model)}", HEADING) for panel in panels]
    columns = min(len(panels), MAX_COLUMNS)
    styles = method_styles(grid)
    names = {name: title(name) for name in method_order(grid)} | {NOISE: "noise control", CONTROL: "control"}
    with style():
        drawn = sheet(
            ceil(len(panels) / columns),
            columns,
            title="How often the invader still finds a face, by noise budget",
            panel_height=PANEL_HEIGHT,
            legend=[legend_entry(styles[name], label) for name, label in names.items()],
            room=Room(above=0.1 + 0.18 * max(map(len, headings)), row_gap=0.45),
            notes=paragraph(
                "Where it finds none, the photograph counts as protected.",
                *lines_sentences([rate for panel in panels for rate in panel.rates], interval_kind(results)),
                caveat=caveat,
            ),
        )
        places = list(chain.from_iterable(drawn.panels))
        for number, (panel, heading, axes) in enumerate(zip(panels, headings, places, strict=False)):
            _draw(axes, panel, styles)
            epsilon_axis(axes, grid.epsilons, labelled=True)
            percent_axis(axes, label="" if number % columns else "faces found, %")
            axes.set_title("\n".join(heading), pad=6)
        for axes in places[len(panels) :]:
            axes.remove()
    return drawn.figure


def _draw(axes: Axes, panel: Panel, styles: Mapping[str, LineStyle]) -> None:
    if not any(panel.rates):
        draw_nothing(axes)
    draw_level(axes, panel.control, styles[CONTROL])
    for place, (method, rates) in enumerate(panel.lines.items()):
        draw_line(axes, rates, styles[method], order=3 + place / 10)
