"""Lines of rates against epsilon, and how they are drawn."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TypeVar

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from orchestrator.metrics.psr import Rate
from orchestrator.report.figures.style import FAINT, LineStyle

BAND_OPACITY, BAND_EDGE_OPACITY = 0.12, 0.45

P = TypeVar("P")
Rates = Mapping[int, Rate | None]  # by epsilon, in levels; None where nothing was observed: a gap, never a zero


def segments(line: Mapping[int, P | None]) -> list[dict[int, P]]:
    """The stretches of a line, whose points stand by epsilon, between its gaps."""
    points = groupby(line.items(), key=lambda each: each[1] is not None)
    return [
        {epsilon: point for epsilon, point in stretch if point is not None} for is_observed, stretch in points if is_observed
    ]


def draw_line(axes: Axes, rates: Rates, look: LineStyle, *, order: float) -> None:
    """Draws a line stretch by stretch; a point that stands alone between gaps shows its interval as a bar."""
    for points in segments(rates):
        epsilons, intervals = list(points), [rate.interval for rate in points.values()]
        lows, highs = [interval.low for interval in intervals], [interval.high for interval in intervals]
        outlined = look.filled and look.marker
        axes.plot(
            epsilons,
            [rate.percent for rate in points.values()],
            color=look.colour,
            linewidth=look.width,
            linestyle=look.dashes,
            marker=look.marker or ("_" if len(points) == 1 else ""),
            markersize=look.marker_size,
            markerfacecolor=look.face,
            markeredgecolor="white" if outlined else look.colour,
            markeredgewidth=0.5 if outlined else 1.1,
            zorder=order,
            clip_on=False,
        )
        if look.band and len(points) > 1:
            axes.fill_between(epsilons, lows, highs, color=look.colour, alpha=BAND_OPACITY, linewidth=0, zorder=1)
            for limits in (lows, highs):
                axes.plot(epsilons, limits, color=look.colour, alpha=BAND_EDGE_OPACITY, linewidth=0.6, zorder=1)
        elif look.band:
            axes.vlines(epsilons, lows, highs, color=look.colour, linewidth=1.0, zorder=order)


def draw_level(axes: Axes, rate: Rate | None, look: LineStyle) -> None:
    """Draws the rate of a control, which has no epsilon, across the panel, with its marker at the end."""
    if rate is not None:
        axes.axhline(rate.percent, color=look.colour, linewidth=1.2, linestyle=look.dashes, zorder=2, clip_on=False)
        axes.plot(
            [1],
            [rate.percent],
            transform=axes.get_yaxis_transform(),
            color=look.colour,
            marker=look.marker,
            markersize=3.2,
            markerfacecolor="white",
            zorder=2,
            clip_on=False,
        )


def draw_nothing(axes: Axes) -> None:
    """Says that a panel has nothing to show."""
    axes.text(0.5, 0.5, "no observations", transform=axes.transAxes, ha="center", va="center", color=FAINT, style="italic")


def legend_entry(look: LineStyle, label: str, *, edge: str | None = None) -> Line2D:
    """A line in a legend; `edge`: the colour of its marker's edge, by default the line's."""
    return Line2D(
        [],
        [],
        color=look.colour,
        linewidth=look.width,
        linestyle=look.dashes,
        marker=look.marker,
        markersize=look.marker_size,
        markerfacecolor=look.face,
        markeredgecolor=edge,
        markeredgewidth=None if edge is None else 0.6,
        label=label,
    )


def epsilon_axis(axes: Axes, epsilons: Sequence[int], *, labelled: bool) -> None:
    """A log-2 axis whose ticks are the grid's budgets."""
    axes.set_xscale("log", base=2)
    axes.set_xlim(min(epsilons) / 1.3, max(epsilons) * 1.3)
    axes.xaxis.set_major_locator(FixedLocator(list(epsilons)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    if labelled:
        axes.set_xlabel("noise budget ε, in levels of 0..255")
    axes.tick_params(labelbottom=labelled)


def percent_axis(axes: Axes, *, label: str) -> None:
    """An axis of 0..100 %; its numbers stand only where it is labelled."""
    axes.set_ylim(-2, 102)
    axes.yaxis.set_major_locator(FixedLocator([0, 25, 50, 75, 100]))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(axis="y")
    axes.tick_params(axis="y", length=0)
    axes.tick_params(labelleft=bool(label))
    axes.set_ylabel(label)
