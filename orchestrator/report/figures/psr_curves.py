"""PSR against epsilon: Ghafourian et al., Fig. 3, 4 and 5, one for each source model."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from orchestrator.experiment.grid import CONTROL, NOISE, PAPERS_KS, Grid
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
from orchestrator.report.figures.sheet import sheet
from orchestrator.report.figures.style import (
    CONTROL_DASHES,
    FAINT,
    NOISE_DASHES,
    LineStyle,
    method_order,
    model_styles,
    style,
)
from orchestrator.report.titles import title

PANEL_HEIGHT = 1.9  # inches


@dataclass(frozen=True)
class Panel:
    """One panel, by target model in the grid's order."""

    method: str
    k: int
    cloaks: Mapping[str, Rates]
    noise: Mapping[str, Rates]
    controls: Mapping[str, Rate | None]

    @property
    def rates(self) -> list[Rate | None]:
        """All that is drawn."""
        lines = (*self.cloaks.values(), *self.noise.values())
        return [*(rate for line in lines for rate in line.values()), *self.controls.values()]


def series(results: Iterable[CellResult], grid: Grid, *, source_model: str) -> tuple[tuple[Panel, ...], ...]:
    """The panels: a row for each method (ILLC, BIM, then others), a column for each k of the paper's that the grid has.

    Where it has none of them, the columns are the grid's own.
    """
    psr = {(result.cell, result.k): result.psr for result in results}

    def lines(method: str, k: int) -> dict[str, Rates]:
        return {
            target_model: {
                epsilon: psr.get((grid.cell(source_model, method, epsilon, target_model), k)) for epsilon in grid.epsilons
            }
            for target_model in grid.target_models
        }

    def controls(k: int) -> dict[str, Rate | None]:
        return {name: psr.get((grid.cell(source_model, CONTROL, 0, name), k)) for name in grid.target_models}

    columns = [k for k in PAPERS_KS if k in grid.ks] or grid.ks
    return tuple(
        tuple(Panel(method, k, lines(method, k), lines(NOISE, k), controls(k)) for k in columns)
        for method in method_order(grid)
    )


def psr_curves(results: Sequence[CellResult], grid: Grid, *, source_model: str, caveat: str = "") -> Figure:
    """The figure of one source model; `caveat` says why these are not the paper's figures."""
    panels = series(results, grid, source_model=source_model)
    styles = model_styles(grid)
    with style():
        drawn = sheet(
            len(panels),
            len(panels[0]),
            title=f"How well cloaks crafted with {title(source_model)} protect: a line for each target model",
            panel_height=PANEL_HEIGHT,
            legend=_legend(grid, styles),
            notes=paragraph(
                "PSR@k: the share of photographs whose true identity is not among the target model's first k answers.",
                *lines_sentences([rate for row in panels for panel in row for rate in panel.rates], interval_kind(results)),
                caveat=caveat,
            ),
        )
        for row, axes_row in zip(panels, drawn.panels, strict=True):
            for panel, axes in zip(row, axes_row, strict=True):
                _draw(axes, panel, styles)
                epsilon_axis(axes, grid.epsilons, labelled=row is panels[-1])
                percent_axis(axes, label="PSR, %" if panel is row[0] else "")
                axes.set_title(f"{title(panel.method)}, top-{panel.k}", pad=6)
    return drawn.figure


def _draw(axes: Axes, panel: Panel, styles: Mapping[str, LineStyle]) -> None:
    if not any(panel.rates):
        draw_nothing(axes)
    for name, rate in panel.controls.items():
        draw_level(axes, rate, replace(styles[name], dashes=CONTROL_DASHES))
    for name, rates in panel.noise.items():
        look = replace(styles[name], width=1.1, dashes=NOISE_DASHES, marker_size=3.2, fill="none", band=False)
        draw_line(axes, rates, look, order=2)
    for place, (name, rates) in enumerate(panel.cloaks.items()):
        draw_line(axes, rates, styles[name], order=3 + place / 10)


def _legend(grid: Grid, styles: Mapping[str, LineStyle]) -> list[Line2D]:
    return [
        *(legend_entry(styles[name], title(name), edge="white") for name in grid.target_models),
        legend_entry(LineStyle(FAINT, dashes=NOISE_DASHES, width=1.1), "noise control"),
        legend_entry(LineStyle(FAINT, dashes=CONTROL_DASHES, width=1.2), "control"),
    ]
