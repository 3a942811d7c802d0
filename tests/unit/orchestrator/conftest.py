"""Folders on which permissions bind whoever runs the tests, and reports without the time that figures take."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image

from orchestrator.figures.save import Saved

NOBODY = 65534


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder of its own, and no right to write what permissions forbid."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # the way to others is closed to anybody else
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        if os.geteuid() == 0:
            shutil.chown(folder, NOBODY)
            stack.callback(os.seteuid, 0)
            os.seteuid(NOBODY)
        yield folder
        folder.chmod(0o700)


@pytest.fixture
def blank_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are drawn, and written as blank files: encoding them takes most of a report's time."""

    def save(figure: Figure, folder: Path, name: str) -> Saved:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        saved = Saved(*(folder / f"{name}.{kind}" for kind in ("svg", "pdf", "png")))
        saved.svg.write_text("<svg/>")
        saved.pdf.write_bytes(b"%PDF")
        Image.new("L", (1, 1)).save(saved.png)
        return saved

    monkeypatch.setattr("orchestrator.report.drawing.save", save)
