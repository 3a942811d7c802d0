"""Figures as files: SVG, PNG or PDF; the same bytes for the same figure."""

import io
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from orchestrator.files import replace_file
from orchestrator.report.figures.style import style

# By format; what would change from one writing to the next is left out.
METADATA: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "png": {}, "pdf": {"CreationDate": None}}
# Of pictures, level 6 takes more than twice as long for a hundredth less.
COMPRESSION: dict[str, dict[str, Any]] = {"png": {"pil_kwargs": {"compress_level": 4}}}


@dataclass(frozen=True)
class EncodedFigure:
    """A figure as the contents of its files."""

    title: str
    files: Mapping[str, bytes]  # by format


def drawn(draw: Callable[[], Figure], kinds: Collection[str] = tuple(METADATA)) -> EncodedFigure:
    """Draws a figure and encodes it in these formats; a PDF takes longest, because its fonts are embedded."""
    figure = draw()
    return EncodedFigure(title(figure), {kind: encoded(figure, kind) for kind in kinds})


def save(figure: EncodedFigure, folder: Path, name: str) -> dict[str, Path]:
    """Writes NAME.svg, NAME.png and so on into a folder, each whole or not at all, readable by their owner only.

    What is there of the figure in other formats is of an earlier report, and goes. A figure may show a face; a run's folder
    is its owner's.

    Returns:
        The files, by format.

    Raises:
        OSError: one cannot be written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    paths = {kind: folder / f"{name}.{kind}" for kind in figure.files}
    for kind, path in paths.items():
        replace_file(path, figure.files[kind])
    for kind in METADATA.keys() - paths.keys():
        (folder / f"{name}.{kind}").unlink(missing_ok=True)
    return paths


def encoded(figure: Figure, kind: str) -> bytes:
    """The figure as "svg", "pdf" or "png"."""
    file = io.BytesIO()
    with style():
        metadata = {"Title": title(figure)} | METADATA[kind]
        figure.savefig(file, format=kind, dpi="figure", metadata=metadata, **COMPRESSION.get(kind, {}))
    return file.getvalue()


def title(figure: Figure) -> str:
    """What the figure shows, on one line."""
    return figure.get_suptitle().replace("\n", " ")
