"""The detection rate against epsilon: a cloak may hide the face from the detector instead of from the recognizer."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from orchestrator.experiment.grid import CONTROL, NOISE, CloakKey, Grid
from orchestrator.metrics.psr import CellResult, Rate, interval_kind
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
from orchestrator.report.figures.style import MethodStyle, called, method_order, method_styles, style

PANEL_HEIGHT = 2.1  # inches
WIDTHS = {NOISE: 1.3}  # points


@dataclass(frozen=True)
class Panel:
    """One panel: what one source model crafted."""

    source_model: str
    lines: tuple[Line, ...]  # a method each, and the noise control
    control: Level

    @property
    def everything(self) -> tuple[Line | Level, ...]:
        """All that is drawn."""
        return (*self.lines, self.control)


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

    def lines(source_model: str) -> Iterator[Line]:
        for method in (*method_order(grid), NOISE):
            yield line(method, ((epsilon, found.get(CloakKey(source_model, method, epsilon))) for epsilon in grid.epsilons))

    return tuple(
        Panel(name, tuple(lines(name)), level(CONTROL, found.get(CloakKey(name, CONTROL, 0)))) for name in grid.source_models
    )


def detection(results: Sequence[CellResult], grid: Grid, *, caveat: str = "") -> Figure:
    """The figure: a panel for each source model, a line for each method.

    Args:
        results: of the run's cells.
        grid: the run's.
        caveat: why these are not the paper's figures; stands in the figure.
    """
    panels = series(results, grid)
    everything = [each for panel in panels for each in panel.everything]
    styles = method_styles(grid)
    with style():
        drawn = sheet(
            1,
            len(panels),
            title="How often the invader still finds a face, by noise budget",
            panel_height=PANEL_HEIGHT,
            legend=_legend(grid, styles),
            notes=paragraph(
                "Where it finds none, the photograph counts as protected.",
                "Control: no cloak. Noise control: random ±ε in its place.",
                BANDS[interval_kind(results)],
                n_sentence(observed(everything)),
                GAP if has_gaps(everything) else "",
                caveat=caveat,
            ),
        )
        for panel, axes in zip(panels, drawn.panels[0], strict=True):
            _draw(axes, panel, styles)
            epsilon_axis(axes, grid.epsilons, labelled=True)
            percent_axis(axes, label="faces found, %" if panel is panels[0] else "")
            axes.set_title(f"crafted with {called(panel.source_model)}", pad=6)
    return drawn.figure


def _draw(axes: Axes, panel: Panel, styles: dict[str, MethodStyle]) -> None:
    if not observed(panel.everything):
        draw_nothing(axes)
    draw_level(axes, panel.control, colour=styles[CONTROL].colour, dashes=styles[CONTROL].dashes)
    for order, drawn in enumerate(panel.lines):
        look = styles[drawn.name]
        draw_line(
            axes,
            drawn,
            colour=look.colour,
            width=WIDTHS.get(drawn.name, 1.8),
            dashes=look.dashes,
            marker=look.marker,
            marker_size=5.5,
            filled=look.filled,
            band=drawn.name != NOISE,
            order=3 + order / 10,
        )


def _legend(grid: Grid, styles: dict[str, MethodStyle]) -> list[Line2D]:
    names = {name: called(name) for name in method_order(grid)} | {NOISE: "noise control", CONTROL: "control"}
    return [
        Line2D(
            [],
            [],
            color=styles[name].colour,
            linewidth=WIDTHS.get(name, 1.8),
            linestyle=styles[name].dashes,
            marker=styles[name].marker,
            markersize=5.5,
            markerfacecolor=styles[name].colour if styles[name].filled else "white",
            label=label,
        )
        for name, label in names.items()
    ]
