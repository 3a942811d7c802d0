"""PSR against image quality: what protection costs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from orchestrator.experiment.grid import CONTROL, Cell, Grid, is_noise, shares_network
from orchestrator.metrics.pareto import Point, pareto_front
from orchestrator.metrics.psr import Rate
from orchestrator.report.figures.lines import draw_nothing, legend_entry, percent_axis
from orchestrator.report.figures.notes import n_sentence, paragraph, photographs
from orchestrator.report.figures.sheet import Room, sheet
from orchestrator.report.figures.style import (
    FAINT,
    FILLS,
    INK,
    NOISE_DASHES,
    LineStyle,
    marker_face,
    method_order,
    method_styles,
    model_styles,
    style,
)
from orchestrator.report.titles import title

MEASURES = {"ssim": "SSIM", "psnr": "PSNR, dB"}
PANEL_HEIGHT = 2.1  # inches
HIGHLIGHT, FRONT_WIDTH = "#f2d680", 7.0  # a broad band, in points, behind the lines
FADED = 0.4  # opacity


@dataclass(frozen=True)
class QualityPoint:
    """One cell, and what its cloaks keep of the picture on average."""

    cell: Cell
    ssim: float  # mean, between lossless control and stored cloak
    psnr: float  # mean, dB
    photographs: int  # whose cloaks these are the means of
    psr: Rate

    def quality(self, measure: str) -> float:
        """Its "ssim" or "psnr"."""
        return self.ssim if measure == "ssim" else self.psnr


@dataclass(frozen=True)
class Curve:
    """The cells of one source model and method, by rising epsilon."""

    source_model: str
    method: str
    points: tuple[Point, ...]  # labelled with their epsilon; a method with a budget of its own has one, without a label


@dataclass(frozen=True)
class Panel:
    """One panel: one measure of quality, one target model."""

    measure: str  # "ssim" or "psnr"
    target_model: str
    curves: tuple[Curve, ...]
    front: tuple[Point, ...]  # over the methods' cells, by rising quality, labelled with method and epsilon


def series(points: Sequence[QualityPoint], grid: Grid) -> tuple[tuple[Panel, ...], ...]:
    """The panels: a row for SSIM and one for PSNR, a column for each target model.

    The Pareto front is over cloaks that were not crafted with the target model, because the protector of a photograph does
    not choose who reads it; where there are no others, it is over all. Noise is drawn, and is no choice. Left out are
    qualities that are not finite (the PSNR of an unchanged picture).
    """
    return tuple(
        tuple(_panel(points, grid, measure, target_model) for target_model in grid.target_models) for measure in MEASURES
    )


def _panel(points: Sequence[QualityPoint], grid: Grid, measure: str, target_model: str) -> Panel:
    usable = [
        each
        for each in points
        if each.cell.target_model == target_model and each.cell.method != CONTROL and isfinite(each.quality(measure))
    ]

    def curves() -> Iterator[Curve]:
        for source_model in grid.source_models:
            for method in (*method_order(grid), *grid.noises):
                cells = [each for each in usable if (each.cell.source_model, each.cell.method) == (source_model, method)]
                cells.sort(key=lambda each: each.cell.epsilon)
                drawn = (Point(each.quality(measure), each.psr.percent, str(each.cell.epsilon or "")) for each in cells)
                if cells:
                    yield Curve(source_model, method, tuple(drawn))

    choices = [each for each in usable if each.cell.method in grid.methods]
    others = [each for each in choices if not each.cell.is_white_box]
    front = pareto_front(
        [
            Point(each.quality(measure), each.psr.percent, f"{title(each.cell.method)} {each.cell.epsilon or ''}".rstrip())
            for each in others or choices
        ]
    )
    return Panel(measure, target_model, tuple(curves()), tuple(front))


def tradeoff(points: Sequence[QualityPoint], grid: Grid, *, k: int, caveat: str = "") -> Figure:
    """The figure: the further right the better the picture, the higher the better protected.

    The points are of any methods, the noise control among them; `caveat` says why these are not the paper's figures.
    """
    rows = series(points, grid)
    means = [point.photographs for point in points]
    models = model_styles(grid)
    with style():
        drawn = sheet(
            len(rows),
            len(grid.target_models),
            title=f"What protection costs: PSR@{k} against the quality of the picture",
            panel_height=PANEL_HEIGHT,
            legend=_legend(grid, models),
            notes=paragraph(
                f"{_points(grid)}; top right is best. Pareto front: the choices that no other beats in both at",
                "once, among cloaks not crafted with the model that reads; those that were are pale.",
                f"Quality is of stored cloaks against the lossless probe, mean of {photographs(means)}; PSR is of all.",
                n_sentence([point.psr.n for point in points]),
                caveat=caveat,
            ),
            room=Room(right=0.25, row_gap=0.3),
        )
        for row, axes_row in zip(rows, drawn.panels, strict=True):
            for panel, axes in zip(row, axes_row, strict=True):
                _draw(axes, panel, grid, models)
                percent_axis(axes, label=f"PSR@{k}, %" if panel is row[0] else "")
                axes.set_xlabel(MEASURES[panel.measure], labelpad=1)
                axes.set_title(f"read by {title(panel.target_model)}" if row is rows[0] else "", pad=6)
            _share_x(axes_row, row)
    return drawn.figure


def _points(grid: Grid) -> str:
    if not grid.budgeted:
        return "A point for each method"
    once = f" ({', '.join(map(title, grid.unbudgeted))}: one point)" if grid.unbudgeted else ""
    return f"A point for each ε{once}, which falls from left to right"


def _share_x(axes_row: Sequence[Axes], row: Sequence[Panel]) -> None:
    qualities = [point.quality for panel in row for curve in panel.curves for point in curve.points]
    if qualities:
        margin = 0.04 * (max(qualities) - min(qualities)) or 0.01
        for axes in axes_row:
            axes.set_xlim(min(qualities) - margin, max(qualities) + margin)


def _draw(axes: Axes, panel: Panel, grid: Grid, models: Mapping[str, LineStyle]) -> None:
    methods = method_styles(grid)
    if not panel.curves:
        draw_nothing(axes)
    axes.plot(
        [point.quality for point in panel.front],
        [point.psr for point in panel.front],
        color=HIGHLIGHT,
        linewidth=FRONT_WIDTH,
        marker="o",
        markersize=FRONT_WIDTH,
        markeredgewidth=0,
        drawstyle="steps-pre",  # whoever insists on a quality gets the PSR of the next choice above it
        solid_joinstyle="round",
        solid_capstyle="round",
        zorder=1,
    )
    white_box = {curve.source_model for curve in panel.curves if shares_network(curve.source_model, panel.target_model)}
    alone = all(curve.source_model in white_box for curve in panel.curves)
    for curve in panel.curves:
        look, noise = models[curve.source_model], is_noise(curve.method)
        axes.plot(
            [point.quality for point in curve.points],
            [point.psr for point in curve.points],
            color=look.colour,
            linewidth=0.8 if noise else 1.3,
            linestyle=NOISE_DASHES if noise else "-",
            marker=("" if len(curve.points) > 1 else "x") if noise else look.marker,
            markersize=4.5,
            **marker_face(methods[curve.method].fill, look.colour),
            markeredgewidth=0.9,
            zorder=2 if noise else 3,
            alpha=FADED if curve.source_model in white_box and not alone else 1,
            clip_on=False,
        )


def _legend(grid: Grid, models: Mapping[str, LineStyle]) -> list[Line2D]:
    fills = {method: method_styles(grid)[method].fill for method in method_order(grid)}
    return [
        *(
            legend_entry(replace(models[name], width=1.5, marker_size=5), f"crafted with {title(name)}")
            for name in grid.source_models
        ),
        *(
            Line2D(
                [],
                [],
                color=INK,
                linewidth=0,
                marker="o",
                markersize=5,
                **marker_face(fill, INK),
                label=f"{title(method)} ({FILLS[fill]})",
            )
            for method, fill in fills.items()
        ),
        legend_entry(
            LineStyle(FAINT, dashes=NOISE_DASHES, width=0.8), "noise control" + (" (×)" if grid.unbudgeted else "")
        ),
        legend_entry(LineStyle(HIGHLIGHT, width=FRONT_WIDTH), "Pareto front"),
    ]
