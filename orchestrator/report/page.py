"""The page: one HTML file that needs no other."""

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from orchestrator.run_folder.pictures import BEGIN, END

TEMPLATES = Path(__file__).parent / "templates"


def rendered(**page: object) -> str:
    """The page as HTML: the template, with everything that it shows by the names that it has there.

    All that comes from a run is escaped; the only script is the page's own, by its digest.

    Raises:
        jinja2.UndefinedError: the template shows something that was not given.
    """
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
        page, css=css, js=js, script_hash=f"sha256-{digest}", begin_pictures=BEGIN, end_pictures=END
    )


def _bound(text: str) -> str:
    """With numbers that no line end parts from their unit."""
    return text.replace(" %", "\u00a0%").replace("N = ", "N\u00a0=\u00a0").replace("ε ", "ε\u00a0")
