"""The threat matrix: PSR by which pictures wear the cloak."""

import textwrap
from collections.abc import Mapping, Sequence
from itertools import chain
from math import ceil

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from orchestrator.experiment.grid import CONTROL, NOISE, OF_METHOD, Grid
from orchestrator.experiment.intervals import IntervalKind
from orchestrator.metrics.psr import Rate
from orchestrator.report.figures.lines import legend_entry
from orchestrator.report.figures.notes import INTERVALS, n_sentence, paragraph
from orchestrator.report.figures.sheet import Room, sheet, text_width
from orchestrator.report.figures.style import NOTE_SIZE, method_order, method_styles, style
from orchestrator.report.panels import ThreatPanel
from orchestrator.report.titles import title

ROW_GAP, MARKER_HEIGHT = 0.1, 0.06  # inches, of a row and of each method in it
SPREAD = 0.56  # of a row, over which the methods' markers stand
MAX_COLUMNS = 3
HEADING = 32  # characters of a line above a panel


def threats(
    panels: Sequence[ThreatPanel], grid: Grid, *, k: int, epsilon: int, kind: IntervalKind, caveat: str = ""
) -> Figure:
    """The figure: a panel for each source model and matcher, a row for what wears the cloak.

    Args:
        panels: at least one; all have the same rows.
        grid: of the run.
        k: that PSR is read at.
        epsilon: of the methods that have one, in levels.
        kind: of the intervals.
        caveat: why these are not the paper's figures.
    """
    styles = method_styles(grid)
    methods = (*method_order(grid), *grid.noises, CONTROL)
    labels = {name: f"noise control of {title(name.partition(OF_METHOD)[2])}" for name in grid.noises}
    labels |= {NOISE: "noise control", CONTROL: "control"}
    names = [name for name in panels[0].rows if any(any(panel.rows[name].values()) for panel in panels)]
    columns = min(len(panels), MAX_COLUMNS)
    rates = [rate for panel in panels for rate in panel.rates]
    with style():
        drawn = sheet(
            ceil(len(panels) / columns),
            columns,
            title=f"PSR@{k} by which pictures wear the cloak" + (f", at ε\u00a0{epsilon}" if grid.budgeted else ""),
            panel_height=(ROW_GAP + MARKER_HEIGHT * len(methods)) * len(names),
            legend=[legend_entry(styles[name], labels.get(name) or title(name)) for name in methods],
            notes=paragraph(
                "A cloak is worn by the probe, which is searched, by the person's photos in the gallery, or by both; "
                "adaptive: by these photos, and by copies of other people's that are enrolled beside them.",
                f"Control and noise replace the same pictures. Bars are {INTERVALS[kind]}",
                n_sentence([rate.n for rate in rates]),
                caveat=caveat,
            ),
            room=Room(
                left=text_width(names, NOTE_SIZE) + 0.3,
                above=0.12 + 0.18 * max(len(_heading(panel)) for panel in panels),
                below=0.5,
                row_gap=0.45,
            ),
        )
        places = list(chain.from_iterable(drawn.panels))
        for number, (panel, axes) in enumerate(zip(panels, places, strict=False)):
            _draw(axes, [panel.rows[name] for name in names], methods, grid)
            axes.set_title("\n".join(_heading(panel)), pad=6)
            axes.set_yticks(range(len(names)), [""] * len(names) if number % columns else names, size=NOTE_SIZE)
            axes.set_ylim(len(names) - 0.5, -0.5)
            axes.set_xlim(-2, 102)
            axes.set_xticks([0, 25, 50, 75, 100])
            axes.set_xlabel(f"PSR@{k}, %")
            axes.tick_params(axis="y", length=0)
            axes.grid(axis="x")
        for axes in places[len(panels) :]:
            axes.remove()
    return drawn.figure


def _heading(panel: ThreatPanel) -> list[str]:
    """The lines above a panel."""
    white_box = " (white box)" if panel.is_white_box else ""
    return textwrap.wrap(f"{title(panel.source_model)}, read by {title(panel.target_model)}{white_box}", HEADING)


def _draw(axes: Axes, rows: Sequence[Mapping[str, Rate | None]], methods: Sequence[str], grid: Grid) -> None:
    styles = method_styles(grid)
    offsets = dict(zip(methods, np.linspace(-SPREAD / 2, SPREAD / 2, len(methods)), strict=True))
    for row, of_methods in enumerate(rows):
        if row % 2:
            axes.axhspan(row - 0.5, row + 0.5, color="#f4f4f4", zorder=0, linewidth=0)
        for method, rate in of_methods.items():
            if rate is None:
                continue
            look, place = styles[method], row + offsets[method]
            axes.hlines(
                place,
                rate.interval.low,
                rate.interval.high,
                color=look.colour,
                linewidth=1.0,
                linestyles=look.dashes,
                zorder=2,
            )
            axes.plot(
                [rate.percent],
                [place],
                color=look.colour,
                marker=look.marker or "|",
                markersize=4.2,
                markerfacecolor=look.face,
                zorder=3,
                clip_on=False,
            )
