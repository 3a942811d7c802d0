"""Figures as files: which, how they are written, and that they are the same each time."""

import io
import re
import stat
import subprocess
import sys
import zlib
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from orchestrator.commands.report import FORMATS
from orchestrator.experiment.grid import CloakKey
from orchestrator.metrics.psr import Rate
from orchestrator.report.figures.cloak_examples import cloak_examples
from orchestrator.report.figures.detection import detection
from orchestrator.report.figures.psr_curves import psr_curves
from orchestrator.report.figures.save import METADATA, drawn, encoded, save, title
from orchestrator.report.figures.style import style
from orchestrator.report.figures.tradeoff import QualityPoint, tradeoff
from orchestrator.report.figures.transfer import transfer
from tests.support.cells import paper_cell
from tests.support.figured import GRID, table_results

SVG = "{http://www.w3.org/2000/svg}"
CAVEAT = "embedded recognizers on synthetic faces: not the paper's figures"
PICTURE = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
POINTS = [QualityPoint(paper_cell("facenet", "bim", 8, "resnet50"), 0.9, 40.0, 2, Rate(1, 2))]

FIGURES: dict[str, Callable[[], Figure]] = {
    "psr_curves": lambda: psr_curves(table_results(), GRID, source_model="facenet", caveat=CAVEAT),
    "detection": lambda: detection(table_results(), GRID, caveat=CAVEAT),
    "transfer": lambda: transfer(table_results(), GRID, k=1, caveat=CAVEAT),
    "tradeoff": lambda: tradeoff(POINTS, GRID, k=1, caveat=CAVEAT),
    "cloak_examples": lambda: cloak_examples({}, {CloakKey("facenet", "bim", 8): PICTURE}, GRID, caveat=CAVEAT),
}


def laid_out(name: str) -> Figure:
    figure = FIGURES[name]()
    FigureCanvasAgg(figure)
    with style():
        figure.draw_without_rendering()
    return figure


def psr() -> Figure:
    return FIGURES["psr_curves"]()


@cache
def written(name: str, kind: str) -> bytes:
    """A figure as a file, for the tests that only look."""
    return encoded(FIGURES[name](), kind)


def test_a_figure_is_saved_as_svg_png_and_pdf_or_as_some_of_these(tmp_path: Path) -> None:
    assert set(FORMATS) == METADATA.keys(), "all that can be asked for"
    assert drawn(psr, ["svg"]).files.keys() == {"svg"}
    saved = save(drawn(psr), tmp_path / "figures", "psr-facenet")
    assert saved == {kind: tmp_path / "figures" / f"psr-facenet.{kind}" for kind in ("svg", "png", "pdf")}
    assert sorted((tmp_path / "figures").iterdir()) == sorted(saved.values())
    assert ET.fromstring(saved["svg"].read_text()).tag == f"{SVG}svg"
    assert saved["pdf"].read_bytes().startswith(b"%PDF-")
    with Image.open(saved["png"]) as image:
        assert image.format == "PNG"
        assert image.width >= 1800  # twice 900: sharp on a dense screen


def test_only_the_owner_may_read_the_files(tmp_path: Path) -> None:
    saved = save(drawn(psr), tmp_path / "figures", "psr")
    assert {stat.S_IMODE(path.stat().st_mode) for path in saved.values()} == {0o600}
    assert stat.S_IMODE((tmp_path / "figures").stat().st_mode) == 0o700


@pytest.mark.parametrize("kind", METADATA)
@pytest.mark.parametrize("name", FIGURES)
def test_drawing_and_writing_again_writes_the_same_bytes(name: str, kind: str) -> None:
    assert encoded(FIGURES[name](), kind) == written(name, kind)


def test_a_figure_that_was_written_is_not_changed_by_it() -> None:
    figure = psr()
    assert [encoded(figure, kind) for kind in METADATA] == [encoded(figure, kind) for kind in METADATA]


def test_another_process_with_other_settings_writes_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("font.size: 30\naxes.labelpad: 20\nfigure.facecolor: red\nsvg.fonttype: none\n")
    script = (
        "import sys, hashlib; from tests.unit.orchestrator.report.figures.test_save import encoded, psr; import matplotlib; "
        "assert matplotlib.rcParams['font.size'] == 30; "
        "print(*(hashlib.sha256(encoded(psr(), kind)).hexdigest() for kind in ('svg', 'pdf', 'png')))"
    )
    command = [sys.executable, "-c", script]
    root = Path(__file__).parents[5]
    environment = {"MATPLOTLIBRC": str(tmp_path), "MPLCONFIGDIR": mpl.get_configdir(), "PYTHONHASHSEED": "7", "PATH": ""}
    found = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True).stdout.split()
    assert found == [sha256(written("psr_curves", kind)).hexdigest() for kind in ("svg", "pdf", "png")]


def test_no_file_carries_a_date() -> None:
    pdf = written("psr_curves", "pdf")
    assert b"CreationDate" not in pdf
    assert b"ModDate" not in pdf
    assert b"<dc:date>" not in written("psr_curves", "svg")
    with Image.open(io.BytesIO(written("psr_curves", "png"))) as image:
        assert set(image.info) <= {"Software", "Title", "dpi"}


@pytest.mark.parametrize("name", FIGURES)
def test_a_pdf_embeds_its_fonts_as_type_42(name: str) -> None:
    pdf = written(name, "pdf")
    starts = [found.end() for found in re.finditer(rb"/Filter /FlateDecode[^>]*>>\s*stream\n", pdf)]
    streams = [zlib.decompressobj().decompress(pdf[start:]) for start in starts]
    assert b"/Subtype /Type3" not in pdf
    assert pdf.count(b"/FontFile2") >= 1  # an embedded TrueType font program
    assert pdf.count(b"/FontDescriptor ") >= 1
    assert any(stream.startswith(b"\x00\x01\x00\x00") for stream in streams)  # which is how such a program begins


def test_text_in_an_svg_is_outlined_so_that_no_font_is_needed() -> None:
    root = ET.fromstring(written("psr_curves", "svg"))
    assert list(root.iter(f"{SVG}text")) == []
    assert list(root.iter(f"{SVG}use")) != []


def test_an_svg_asks_for_nothing_from_elsewhere() -> None:
    root = ET.fromstring(written("cloak_examples", "svg"))
    references = {value for element in root.iter() for name, value in element.attrib.items() if name.endswith("href")}
    assert references
    assert all(reference.startswith(("#", "data:")) for reference in references)


def test_names_with_markup_and_dollars_are_shown_as_they_are() -> None:
    figure = cloak_examples({}, {}, GRID, subject='$x$ <b> & "c"/1.jpg')
    name = 'Cloaks of $x$ <b> & "c"/1.jpg by noise budget'
    assert title(figure) == name
    stated, *_ = ET.fromstring(encoded(figure, "svg")).iter("{http://purl.org/dc/elements/1.1/}title")
    assert stated.text == name
    assert encoded(figure, "png").startswith(b"\x89PNG")


@pytest.mark.parametrize("name", FIGURES)
def test_the_caveat_stands_in_every_figure(name: str) -> None:
    texts = " ".join(text.get_text() for text in FIGURES[name]().texts).replace("\n", " ")
    assert "Embedded recognizers on synthetic faces: not the paper's figures." in texts


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_reaches_past_the_edge_of_the_sheet(name: str) -> None:
    figure = laid_out(name)
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert drawn.x0 >= 0
    assert drawn.y0 >= 0
    assert drawn.x1 <= width
    assert drawn.y1 <= height


@pytest.mark.parametrize("name", FIGURES)
def test_title_legend_panels_and_notes_do_not_overlap(name: str) -> None:
    figure = laid_out(name)
    heading, note = (text.get_window_extent() for text in figure.texts)
    panels = [axes.get_tightbbox() for axes in figure.axes]
    floor = min(panel.y0 for panel in panels if panel is not None)
    ceiling = max(panel.y1 for panel in panels if panel is not None)
    assert note.y1 <= floor
    for legend in figure.legends:
        extent = legend.get_window_extent()
        assert extent.y0 >= ceiling
        assert extent.y1 <= heading.y0
    assert heading.y0 >= ceiling


def test_drawing_leaves_the_settings_of_others_alone() -> None:
    before = dict(mpl.rcParams)
    encoded(psr(), "png")
    assert dict(mpl.rcParams) == before


def test_figures_do_without_pyplot() -> None:
    modules = ", ".join(f"orchestrator.report.figures.{each}" for each in ("psr_curves", "save", "cloak_examples"))
    script = f"import sys; import {modules}"
    command = [sys.executable, "-c", f"{script}; sys.exit('matplotlib.pyplot' in sys.modules)"]
    assert subprocess.run(command, cwd=Path(__file__).parents[5], check=False).returncode == 0
