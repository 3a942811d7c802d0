"""How figures look: restrained, on white, the same on every machine, readable in grey and by the colour-blind.

Models are told apart by colour, lightness, marker and thickness at once, so that any one of the four may be lost; methods by
lightness and fill; controls by dashes. A model looks the same in all figures of a run.

Text: a PDF embeds its fonts as TrueType (Type 42), to be selected and searched. In an SVG text is outlined: browsers, word
processors and vector editors do not agree on fonts embedded in SVG, and a figure whose letters are of another width is a
spoilt figure. What the outlines lose (search, screen readers) the page gives back: the title is the picture's text.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import matplotlib as mpl

from orchestrator.experiment.grid import CONTROL, NOISE, Grid, noise_of

INK, FAINT, HAIRLINE = "#1a1a1a", "#595959", "#d9d9d9"
TITLE_SIZE, TEXT_SIZE, NOTE_SIZE = 11.5, 9.5, 8.5  # points, at the width of `sheet.WIDTH`

Dashes = tuple[float, tuple[float, ...]] | Literal["-"]
Fill = Literal["full", "none", "left", "right", "bottom", "top"]  # how much of a marker is of the line's colour
FILLS: Mapping[Fill, str] = {
    "full": "filled",
    "none": "open",
    "left": "left half filled",
    "right": "right half filled",
    "bottom": "lower half filled",
    "top": "upper half filled",
}
CONTROL_DASHES: Dashes = (0, (1.2, 1.6))
NOISE_DASHES: Dashes = (0, (5, 2))

_SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": TEXT_SIZE,
    "text.color": INK,
    "text.parse_math": False,  # a dollar in a name is a dollar
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.labelsize": TEXT_SIZE,
    "axes.linewidth": 0.7,
    "axes.titlesize": TEXT_SIZE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.axisbelow": True,
    "grid.color": HAIRLINE,
    "grid.linewidth": 0.6,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelsize": NOTE_SIZE,
    "ytick.labelsize": NOTE_SIZE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": TEXT_SIZE,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "face-deid-bench",  # else ids are drawn at random
}


@dataclass(frozen=True)
class LineStyle:
    """How the lines of a model or method look."""

    colour: str
    marker: str = ""
    fill: Fill = "full"
    dashes: Dashes = "-"
    width: float = 1.8  # points
    marker_size: float = 5.5  # points
    band: bool = True  # whether the intervals are shown

    @property
    def filled(self) -> bool:
        return self.fill != "none"

    @property
    def face(self) -> str:
        """The colour of its markers."""
        return self.colour if self.filled else "white"


# The first three, which are a run's as a rule, have lightness (CIE L*) 27, 50, 65 and are told apart in grey and under the
# common deficiencies of colour vision; what comes after them needs its marker too.
_COLOURS = ("#0b4173", "#cf4a1c", "#3fb0a0", "#7b3f98", "#c98f00", "#333333")
_MARKERS = ("o", "s", "^", "D", "v", "P")
_METHODS: Mapping[str, LineStyle] = {
    "bim": LineStyle(INK, "o"),
    "illc": LineStyle("#8c8c8c", "s", "none"),
    NOISE: LineStyle(FAINT, fill="none", dashes=NOISE_DASHES, width=1.3, band=False),
    CONTROL: LineStyle(FAINT, fill="none", dashes=CONTROL_DASHES),
}
_OTHER_METHODS = (  # as many as a figure can be read with; more look like these again
    LineStyle("#5e5e5e", "^", "left"),
    LineStyle("#adadad", "D", "right"),
    LineStyle("#3d3d3d", "v", "bottom"),
    LineStyle("#8c8c8c", "P", "top"),
    LineStyle("#3d3d3d", "*", "none"),
    LineStyle("#5e5e5e", "X", "left"),
    LineStyle("#adadad", "p", "right"),
    LineStyle("#3d3d3d", "<", "bottom"),
    LineStyle("#8c8c8c", ">", "top"),
    LineStyle("#5e5e5e", "h", "none"),
    LineStyle("#adadad", "d", "none"),
    LineStyle("#8c8c8c", "8", "none"),
)


@contextmanager
def style() -> Iterator[None]:
    """Within it, figures are made and written in this style, whatever the user's own settings are.

    matplotlib's settings are the process's: one thread at a time.
    """
    defaults: dict[Any, Any] = {key: value for key, value in mpl.rcParamsDefault.items() if key != "backend"}
    with mpl.rc_context(defaults | _SETTINGS):
        yield


def method_order(grid: Grid) -> tuple[str, ...]:
    """The methods as the paper orders its rows: ILLC, BIM, then any others."""
    paper = tuple(method for method in ("illc", "bim") if method in grid.methods)
    return paper + tuple(method for method in grid.methods if method not in paper)


def model_styles(grid: Grid) -> dict[str, LineStyle]:
    """A style for each model of a run; a model has one, be it source or target.

    Later lines are thinner, so that one that coincides with an earlier one does not hide it.
    """
    models = tuple(dict.fromkeys((*grid.source_models, *grid.target_models)))
    return {
        model: LineStyle(
            colour=_COLOURS[place % len(_COLOURS)],
            marker=_MARKERS[place % len(_MARKERS)],
            width=max(1.4, 2.6 - 0.6 * place),
            marker_size=max(5.0, 8.0 - 1.3 * place),
        )
        for place, model in enumerate(models)
    }


def method_styles(grid: Grid) -> dict[str, LineStyle]:
    """A style for each method of a run and for the controls; a noise control that is matched to a method has its marker."""
    others = [method for method in (*grid.budgeted, *grid.unbudgeted) if method not in _METHODS]
    styles = dict(_METHODS) | {method: _OTHER_METHODS[place % len(_OTHER_METHODS)] for place, method in enumerate(others)}
    return styles | {noise_of(method): replace(styles[NOISE], marker=styles[method].marker) for method in grid.unbudgeted}


def marker_face(fill: Fill, colour: str) -> dict[str, Any]:
    """The properties, for matplotlib, of a marker that is filled so; what is not of the colour is white."""
    return {
        "fillstyle": "full" if fill == "none" else fill,
        "markerfacecolor": "white" if fill == "none" else colour,
        "markerfacecoloralt": "white",
    }
