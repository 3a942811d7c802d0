"""Figures that are drawn, in this process, and written as blank files: encoding them takes most of a report's time."""

import io
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from orchestrator.report.figures.save import EncodedFigure


def write_blank_figures(patch: pytest.MonkeyPatch) -> None:
    """In place of those that a report draws and encodes in processes of its own."""
    patch.setattr("orchestrator.report.processes.MAX_PROCESSES", 0)
    patch.setattr("orchestrator.report.drawing.drawn", _drawn_blank)


def _drawn_blank(draw: "Callable[[], Figure]", kinds: Collection[str]) -> "EncodedFigure":
    from PIL import Image  # only now: most tests draw nothing

    from orchestrator.report.figures.save import EncodedFigure, title

    png = io.BytesIO()
    Image.new("L", (1, 1)).save(png, "PNG")
    blank = {"svg": b"<svg/>", "png": png.getvalue(), "pdf": b"%PDF"}
    return EncodedFigure(title(draw()), {kind: blank[kind] for kind in kinds})
