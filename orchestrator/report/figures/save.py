"""Writing figures: SVG, PDF and PNG, the same bytes for the same figure."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from matplotlib.figure import Figure

from orchestrator.files import replace_file
from orchestrator.report.figures.errors import FigureError
from orchestrator.report.figures.style import style

# What would change from one writing to the next is left out.
_METADATA: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
FORMATS = tuple(_METADATA)


@dataclass(frozen=True)
class Saved:
    """The files of one figure."""

    svg: Path
    pdf: Path
    png: Path


def save(figure: Figure, folder: Path, name: str) -> Saved:
    """Writes NAME.svg, NAME.pdf and NAME.png into a folder, each whole or not at all, readable by their owner only.

    A figure may show a face; a run's folder is its owner's.

    Raises:
        FigureError: a file cannot be written.
    """
    svg, pdf, png = (folder / f"{name}.{kind}" for kind in FORMATS)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, kind in zip((svg, pdf, png), FORMATS, strict=True):
            replace_file(path, encoded(figure, kind))
    except OSError as error:
        raise FigureError(f"{folder / name}: cannot be written: {error.strerror or error}") from error
    return Saved(svg, pdf, png)


def encoded(figure: Figure, kind: str) -> bytes:
    """The figure as one of FORMATS.

    Raises:
        FigureError: the kind is none of them.
    """
    if kind not in _METADATA:
        raise FigureError(f"format: expected one of {', '.join(FORMATS)}, got {kind}")
    file = io.BytesIO()
    with style():
        metadata = {"Title": title(figure)} | _METADATA[kind]
        figure.savefig(file, format=kind, dpi="figure", metadata=metadata)
    return file.getvalue()


def inline_svg(figure: Figure) -> str:
    """The figure as an `<svg>` element to stand in an HTML page: its title is text, for those who cannot see it."""
    text = encoded(figure, "svg").decode()
    element = text[text.index("<svg") + len("<svg") :]  # without the XML declaration and the document type
    return f'<svg role="img" aria-label={quoteattr(title(figure))}{element}'


def title(figure: Figure) -> str:
    """What the figure shows, on one line."""
    return figure.get_suptitle().replace("\n", " ")
