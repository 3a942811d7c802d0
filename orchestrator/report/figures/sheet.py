"""The sheet that a figure is drawn on: title, legend, panels, notes, at places that are known beforehand.

Made without pyplot: no figure outlives its last user, and nothing opens a window.
"""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath

from orchestrator.report.figures.style import FAINT, INK, NOTE_SIZE, TEXT_SIZE, TITLE_SIZE

WIDTH = 9.0  # inches; at 96 dots an inch the text has the size of a page's
EDGE = 0.08  # inches
DOTS_PER_INCH = 200
NARROWEST_PANEL = 1.7  # inches: a sheet of many columns grows instead
POINT = 1 / 72  # inches
SMALLEST_SQUARE, LARGEST_SQUARE = 0.6, 1.8  # inches
LEADING = 1.35  # line height by font size
HANDLE_LENGTH, COLUMN_SPACING = 3.0, 1.6  # of legends, by font size
CHARACTER = 0.54  # mean width by font size, rather too much than too little


@dataclass(frozen=True)
class Room:
    """What panels need around them, in inches."""

    left: float = 0.68
    right: float = 0.12
    top: float = 0.0  # the first row
    above: float = 0.28  # every panel, for its title
    below: float = 0.5  # the last row, for its labels
    column_gap: float = 0.22
    row_gap: float = 0.08


@dataclass(frozen=True)
class Sheet:
    """A figure and its panels, by row and column."""

    figure: Figure
    panels: tuple[tuple[Axes, ...], ...]


def sheet(
    rows: int,
    columns: int,
    *,
    title: str,
    panel_height: float | None,
    legend: Sequence[Artist] = (),
    notes: Sequence[str] = (),
    room: Room | None = None,
    dots_per_inch: int = DOTS_PER_INCH,
) -> Sheet:
    """An empty sheet of rows and columns of panels, `room` around them, and a paragraph for each note under them.

    `panel_height` is in inches, and None makes panels square; the legend is of handles with labels; `dots_per_inch` is that
    of the PNG, and of pictures within the others.
    """
    room = room or Room()
    narrowest = SMALLEST_SQUARE if panel_height is None else NARROWEST_PANEL  # squares grow smaller first
    width = max(WIDTH, room.left + room.right + columns * narrowest + (columns - 1) * room.column_gap)
    panel_width = (width - room.left - room.right - (columns - 1) * room.column_gap) / columns
    if panel_height is None:
        panel_width = panel_height = min(panel_width, LARGEST_SQUARE)

    title_lines = _wrapped(title, TITLE_SIZE * 1.1, width)
    note_lines = [line for note in notes for line in _wrapped(note, NOTE_SIZE, width)]
    title_height = len(title_lines) * TITLE_SIZE * LEADING * POINT
    legend_columns = _legend_columns(legend, width)
    legend_height = ceil(len(legend) / legend_columns) * TEXT_SIZE * 1.7 * POINT
    notes_height = len(note_lines) * NOTE_SIZE * LEADING * POINT
    panels_height = rows * (room.above + panel_height) + (rows - 1) * room.row_gap + room.top + room.below
    height = EDGE + title_height + legend_height + panels_height + notes_height + 2 * EDGE

    figure = Figure(figsize=(width, height), dpi=dots_per_inch)
    figure.suptitle(
        "\n".join(title_lines), x=EDGE / width, y=1 - EDGE / height, ha="left", va="top", size=TITLE_SIZE, weight="bold"
    )
    if legend:
        figure.legend(
            handles=list(legend),
            loc="upper left",
            bbox_to_anchor=(EDGE / width, 1 - (EDGE + title_height + 0.05) / height),
            ncols=legend_columns,
            borderaxespad=0,
            borderpad=0,
            handlelength=HANDLE_LENGTH,
            columnspacing=COLUMN_SPACING,
            labelcolor=INK,
        )
    if note_lines:
        figure.text(
            EDGE / width,
            EDGE / height,
            "\n".join(note_lines),
            ha="left",
            va="bottom",
            size=NOTE_SIZE,
            color=FAINT,
            linespacing=LEADING,
        )
    top = height - EDGE - title_height - legend_height - room.top
    panels = [
        [
            figure.add_axes(
                (
                    (room.left + column * (panel_width + room.column_gap)) / width,
                    (top - (row + 1) * (room.above + panel_height) - row * room.row_gap) / height,
                    panel_width / width,
                    panel_height / height,
                )
            )
            for column in range(columns)
        ]
        for row in range(rows)
    ]
    return Sheet(figure, tuple(map(tuple, panels)))


def text_width(texts: Iterable[str], size: float) -> float:
    """How wide the widest of the texts is, in inches."""
    return max((float(TextPath((0, 0), text, size=size).get_extents().width) for text in texts if text), default=0) * POINT


def _legend_columns(legend: Sequence[Artist], width: float) -> int:
    """How many entries stand beside each other."""
    room = width - 2 * EDGE
    widths = [
        (HANDLE_LENGTH + 0.8 + len(str(entry.get_label())) * CHARACTER + COLUMN_SPACING) * TEXT_SIZE * POINT
        for entry in legend
    ]
    return max(1, len(widths) if sum(widths) <= room else int(room / max(widths)))


def _wrapped(text: str, size: float, width: float) -> list[str]:
    characters = int((width - 2 * EDGE) / (size * CHARACTER * POINT))
    return textwrap.wrap(text, characters) or [""]
