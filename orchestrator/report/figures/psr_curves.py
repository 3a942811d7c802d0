"""PSR against epsilon: Ghafourian et al., Fig. 3, 4 and 5, one for each source model."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from orchestrator.experiment.grid import CONTROL, NOISE, PAPERS_KS, Cell, Grid
from orchestrator.metrics.psr import CellResult, interval_kind
from orchestrator.report.figures.errors import FigureError
from orchestrator.report.figures.lines import (
    Level,
    Line,
    draw_level,
    draw_line,
    draw_nothing,
    epsilon_axis,
    has_gaps,
    level,
    line,
    observed,
    percent_axis,
)
from orchestrator.report.figures.notes import BANDS, GAP, n_sentence, paragraph
from orchestrator.report.figures.sheet import sheet
from orchestrator.report.figures.style import (
    CONTROL_DASHES,
    FAINT,
    NOISE_DASHES,
    ModelStyle,
    called,
    method_order,
    model_styles,
    style,
)

PANEL_HEIGHT = 1.9  # inches


@dataclass(frozen=True)
class Panel:
    """One panel: a line for each target model, in the grid's order."""

    method: str
    k: int
    cloaks: tuple[Line, ...]
    noise: tuple[Line, ...]
    controls: tuple[Level, ...]

    @property
    def everything(self) -> tuple[Line | Level, ...]:
        """All that is drawn."""
        return (*self.cloaks, *self.noise, *self.controls)


def series(
    results: Iterable[CellResult], grid: Grid, *, source_model: str, ks: Sequence[int] = PAPERS_KS
) -> tuple[tuple[Panel, ...], ...]:
    """The panels: a row for each method (ILLC, BIM, then others), a column for each k of `ks` that the grid has.

    Where it has none of them, the columns are the grid's own.

    Raises:
        FigureError: the source model is none of the grid's.
    """
    if source_model not in grid.source_models:
        raise FigureError(f"source model: expected one of {', '.join(grid.source_models)}, got {source_model}")
    by_cell = {(result.cell, result.k): result.psr for result in results if result.cell.source_model == source_model}

    def lines(method: str, k: int) -> Iterator[Line]:
        for target_model in grid.target_models:
            cells = [(each, Cell(source_model, method, each, target_model)) for each in grid.epsilons]
            yield line(target_model, ((epsilon, by_cell.get((cell, k))) for epsilon, cell in cells))

    def controls(k: int) -> Iterator[Level]:
        for target_model in grid.target_models:
            yield level(target_model, by_cell.get((Cell(source_model, CONTROL, 0, target_model), k)))

    columns = [k for k in ks if k in grid.ks] or grid.ks
    return tuple(
        tuple(Panel(method, k, tuple(lines(method, k)), tuple(lines(NOISE, k)), tuple(controls(k))) for k in columns)
        for method in method_order(grid)
    )


def psr_curves(
    results: Sequence[CellResult], grid: Grid, *, source_model: str, ks: Sequence[int] = PAPERS_KS, caveat: str = ""
) -> Figure:
    """The figure of one source model.

    Args:
        results: of the run's cells.
        grid: the run's.
        source_model: that crafted the cloaks.
        ks: of the columns.
        caveat: why these are not the paper's figures; stands in the figure.

    Raises:
        FigureError: the source model is none of the grid's.
    """
    panels = series(results, grid, source_model=source_model, ks=ks)
    everything = [each for row in panels for panel in row for each in panel.everything]
    styles = model_styles(grid)
    with style():
        drawn = sheet(
            len(panels),
            len(panels[0]) if panels else 0,
            title=f"How well cloaks crafted with {called(source_model)} protect: a line for each target model",
            panel_height=PANEL_HEIGHT,
            legend=_legend(grid, styles),
            notes=paragraph(
                "PSR@k: the share of photographs whose true identity is not among the target model's first k answers.",
                "Control: no cloak. Noise control: random ±ε in its place.",
                BANDS[interval_kind(results)],
                n_sentence(observed(everything)),
                GAP if has_gaps(everything) else "",
                caveat=caveat,
            ),
        )
        for row, axes_row in zip(panels, drawn.panels, strict=True):
            for panel, axes in zip(row, axes_row, strict=True):
                _draw(axes, panel, styles)
                epsilon_axis(axes, grid.epsilons, labelled=row is panels[-1])
                percent_axis(axes, label="PSR, %" if panel is row[0] else "")
                axes.set_title(f"{called(panel.method)}, top-{panel.k}", pad=6)
    return drawn.figure


def _draw(axes: Axes, panel: Panel, styles: dict[str, ModelStyle]) -> None:
    if not observed(panel.everything):
        draw_nothing(axes)
    for control in panel.controls:
        look = styles[control.name]
        draw_level(axes, control, colour=look.colour, dashes=CONTROL_DASHES, marker=look.marker)
    for noise in panel.noise:
        look = styles[noise.name]
        draw_line(
            axes,
            noise,
            colour=look.colour,
            width=1.1,
            dashes=NOISE_DASHES,
            marker=look.marker,
            marker_size=3.2,
            filled=False,
            band=False,
            order=2,
        )
    for order, cloaks in enumerate(panel.cloaks):
        look = styles[cloaks.name]
        draw_line(
            axes,
            cloaks,
            colour=look.colour,
            width=look.width,
            marker=look.marker,
            marker_size=look.marker_size,
            order=3 + order / 10,
        )


def _legend(grid: Grid, styles: dict[str, ModelStyle]) -> list[Line2D]:
    targets = [
        Line2D(
            [],
            [],
            color=styles[name].colour,
            linewidth=styles[name].width,
            marker=styles[name].marker,
            markersize=styles[name].marker_size,
            markeredgecolor="white",
            markeredgewidth=0.6,
            label=called(name),
        )
        for name in grid.target_models
    ]
    return [
        *targets,
        Line2D([], [], color=FAINT, linewidth=1.1, linestyle=NOISE_DASHES, label="noise control"),
        Line2D([], [], color=FAINT, linewidth=1.2, linestyle=CONTROL_DASHES, label="control"),
    ]
