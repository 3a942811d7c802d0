"""Lines of rates against epsilon: what is drawn, and how."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from orchestrator.metrics.psr import Rate
from orchestrator.report.figures.style import FAINT, Dashes

BAND_OPACITY, BAND_EDGE_OPACITY = 0.12, 0.45


@dataclass(frozen=True)
class Point:
    """A rate at one epsilon."""

    epsilon: int  # levels
    percent: float
    low: float  # of its 95 % interval, percent
    high: float
    n: int


@dataclass(frozen=True)
class Line:
    """Rates by epsilon, None where nothing was observed: a gap, never a zero."""

    name: str  # of the target model or the method
    points: tuple[Point | None, ...]  # one for each epsilon of the grid

    @property
    def segments(self) -> list[tuple[Point, ...]]:
        """The stretches of the line between gaps."""
        stretches: list[list[Point]] = [[]]
        for point in self.points:
            if point is not None:
                stretches[-1].append(point)
            elif stretches[-1]:
                stretches.append([])
        return [tuple(stretch) for stretch in stretches if stretch]


@dataclass(frozen=True)
class Level:
    """A rate that has no epsilon: a control's. `percent` is None where nothing was observed."""

    name: str
    percent: float | None
    n: int


def line(name: str, rates: Iterable[tuple[int, Rate | None]]) -> Line:
    """The line of (epsilon, rate) pairs; no rate, or one of no observations, is a gap."""
    return Line(name, tuple(_point(epsilon, rate) for epsilon, rate in rates))


def level(name: str, rate: Rate | None) -> Level:
    """The level of a control."""
    return Level(name, None, 0) if rate is None or rate.n == 0 else Level(name, rate.percent, rate.n)


def _point(epsilon: int, rate: Rate | None) -> Point | None:
    if rate is None or rate.n == 0:
        return None
    return Point(epsilon, rate.percent, rate.interval.low, rate.interval.high, rate.n)


def draw_line(
    axes: Axes,
    drawn: Line,
    *,
    colour: str,
    width: float,
    dashes: Dashes = "-",
    marker: str = "",
    marker_size: float = 0.0,
    filled: bool = True,
    band: bool = True,
    order: float = 3.0,
) -> None:
    """Draws a line stretch by stretch; a point that stands alone between gaps shows its interval as a bar."""
    for points in drawn.segments:
        epsilons = [point.epsilon for point in points]
        lows, highs = [point.low for point in points], [point.high for point in points]
        axes.plot(
            epsilons,
            [point.percent for point in points],
            color=colour,
            linewidth=width,
            linestyle=dashes,
            marker=marker or ("_" if len(points) == 1 else ""),
            markersize=marker_size or 8,
            markerfacecolor=colour if filled else "white",
            markeredgecolor="white" if filled and marker else colour,
            markeredgewidth=0.5 if filled and marker else 1.1,
            zorder=order,
            clip_on=False,
        )
        if band and len(points) > 1:
            axes.fill_between(epsilons, lows, highs, color=colour, alpha=BAND_OPACITY, linewidth=0, zorder=1)
            for limits in (lows, highs):
                axes.plot(epsilons, limits, color=colour, alpha=BAND_EDGE_OPACITY, linewidth=0.6, zorder=1)
        elif band:
            axes.vlines(epsilons, lows, highs, color=colour, linewidth=1.0, zorder=order)


def draw_level(axes: Axes, drawn: Level, *, colour: str, dashes: Dashes, marker: str = "") -> None:
    """Draws a control's level across the panel, with its marker at the end."""
    if drawn.percent is not None:
        axes.axhline(drawn.percent, color=colour, linewidth=1.2, linestyle=dashes, zorder=2, clip_on=False)
        axes.plot(
            [1],
            [drawn.percent],
            transform=axes.get_yaxis_transform(),
            color=colour,
            marker=marker,
            markersize=3.2,
            markerfacecolor="white",
            zorder=2,
            clip_on=False,
        )


def draw_nothing(axes: Axes) -> None:
    """Says that a panel has nothing to show."""
    axes.text(0.5, 0.5, "no observations", transform=axes.transAxes, ha="center", va="center", color=FAINT, style="italic")


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


def observed(lines: Iterable[Line | Level]) -> list[int]:
    """How many observations each drawn point has."""
    ns: list[int] = []
    for each in lines:
        ns += [each.n] if isinstance(each, Level) else [point.n for point in each.points if point is not None]
    return [n for n in ns if n]


def has_gaps(lines: Iterable[Line | Level]) -> bool:
    """Whether something of the grid was not observed."""
    return any(each.percent is None if isinstance(each, Level) else None in each.points for each in lines)
