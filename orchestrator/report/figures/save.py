"""Writing figures: SVG, PDF and PNG, the same bytes for the same figure."""

import io
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from orchestrator.files import replace_file
from orchestrator.report.figures.style import style

# By format; what would change from one writing to the next is left out.
METADATA: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}


def save(figure: Figure, folder: Path, name: str) -> dict[str, Path]:
    """Writes NAME.svg, NAME.pdf and NAME.png into a folder, each whole or not at all, readable by their owner only.

    A figure may show a face; a run's folder is its owner's.

    Returns:
        The files, by format.

    Raises:
        OSError: one cannot be written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    paths = {kind: folder / f"{name}.{kind}" for kind in METADATA}
    for kind, path in paths.items():
        replace_file(path, encoded(figure, kind))
    return paths


def encoded(figure: Figure, kind: str) -> bytes:
    """The figure as "svg", "pdf" or "png"."""
    file = io.BytesIO()
    with style():
        figure.savefig(file, format=kind, dpi="figure", metadata={"Title": title(figure)} | METADATA[kind])
    return file.getvalue()


def title(figure: Figure) -> str:
    """What the figure shows, on one line."""
    return figure.get_suptitle().replace("\n", " ")
