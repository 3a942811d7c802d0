"""PSR by condition: what happens to a picture on its way, against what is left of a cloak's protection."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from orchestrator.experiment.grid import CONTROL, NOISE, OF_METHOD, Grid
from orchestrator.report.figures.lines import legend_entry
from orchestrator.report.figures.notes import paragraph
from orchestrator.report.figures.sheet import Room, sheet, text_width
from orchestrator.report.figures.style import NOTE_SIZE, method_order, method_styles, style
from orchestrator.report.panels import ConditionPanel
from orchestrator.report.titles import title

ROW_HEIGHT = 0.3  # inches
SPREAD = 0.56  # of a row, over which the methods' markers stand


def conditions(panels: Sequence[ConditionPanel], grid: Grid, *, k: int, epsilon: int, caveat: str = "") -> Figure:
    """The figure: a panel for each kind of reader, a row for each condition; `caveat`: why it is not the paper's."""
    styles = method_styles(grid)
    methods = (*method_order(grid), *grid.noises, CONTROL)
    names = [str(condition) for condition in grid.conditions]
    labels = {name: f"noise control of {title(name.partition(OF_METHOD)[2])}" for name in grid.noises}
    labels |= {NOISE: "noise control", CONTROL: "control"}
    with style():
        drawn = sheet(
            1,
            len(panels),
            title=f"PSR@{k} by condition" + (f", at ε\u00a0{epsilon}" if grid.budgeted else ""),
            panel_height=ROW_HEIGHT * len(names),
            legend=[legend_entry(styles[name], labels.get(name) or title(name)) for name in methods],
            notes=paragraph(
                "Means over pairs of a source and a target model, of each photograph first, with 95 % intervals.",
                "Where the control moves to the right, a condition loses clean faces; where cloaks move to the left and the "
                "control stays, it undoes them.",
                caveat=caveat,
            ),
            room=Room(left=text_width(names, NOTE_SIZE) + 0.3, above=0.34, below=0.5),
        )
        for panel, axes in zip(panels, drawn.panels[0], strict=True):
            _draw(axes, panel, methods, grid)
            axes.set_title(f"read by {panel.reader}", pad=6)
            axes.set_yticks(range(len(names)), names if panel is panels[0] else [""] * len(names), size=NOTE_SIZE)
            axes.set_ylim(len(names) - 0.5, -0.5)
            axes.set_xlim(-2, 102)
            axes.set_xticks([0, 25, 50, 75, 100])
            axes.set_xlabel(f"PSR@{k}, %")
            axes.tick_params(axis="y", length=0)
            axes.grid(axis="x")
    return drawn.figure


def _draw(axes: Axes, panel: ConditionPanel, methods: Sequence[str], grid: Grid) -> None:
    styles = method_styles(grid)
    offsets = dict(zip(methods, np.linspace(-SPREAD / 2, SPREAD / 2, len(methods)), strict=True))
    for row, condition in enumerate(grid.conditions):
        if row % 2:
            axes.axhspan(row - 0.5, row + 0.5, color="#f4f4f4", zorder=0, linewidth=0)
        for method, found in panel.rows[condition].items():
            if found is None:
                continue
            look, place = styles[method], row + offsets[method]
            limits = found.interval.low, found.interval.high
            axes.hlines(place, *limits, color=look.colour, linewidth=1.0, linestyles=look.dashes, zorder=2)
            axes.plot(
                [found.points],
                [place],
                color=look.colour,
                marker=look.marker or "|",
                markersize=4.2,
                markerfacecolor=look.face,
                zorder=3,
                clip_on=False,
            )
