"""The page: one HTML file that needs no other."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from orchestrator.report.drawing import Drawing
from orchestrator.report.facts import Fact, Reproduction
from orchestrator.report.gallery import Gallery
from orchestrator.report.tables import Table
from orchestrator.run_folder.pictures import BEGIN, END

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Page:
    """Everything that stands on it, as it is to be printed."""

    title: str
    subtitle: str
    notices: Sequence[Fact]
    headlines: Sequence[str]
    claims: Table | None
    facts: Sequence[Fact]
    models: Table
    figures: Sequence[Drawing]
    not_drawn: Sequence[str]
    tables: Sequence[Table]
    gallery: Gallery
    left_out: Table | None
    nothing_left_out: str
    reproduce: Reproduction
    software: Sequence[Fact]
    files: Sequence[Fact]
    interval_sources: str


def rendered(page: Page) -> str:
    """The page as HTML. All that comes from a run is escaped; the only script is the page's own, by its digest."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["bound"] = _bound
    css, js = ((TEMPLATES / name).read_text(encoding="utf-8").strip() for name in ("report.css", "report.js"))
    digest = base64.b64encode(hashlib.sha256(f"\n{js}\n".encode()).digest()).decode()
    return environment.get_template("report.html.j2").render(
        page=page, css=css, js=js, script_hash=f"sha256-{digest}", begin_pictures=BEGIN, end_pictures=END
    )


def _bound(text: str) -> str:
    """With numbers that no line end parts from their unit."""
    return text.replace(" %", "\u00a0%").replace("N = ", "N\u00a0=\u00a0").replace("ε ", "ε\u00a0")
