"""The page: one HTML file that needs no other."""

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from orchestrator.run_folder.pictures import BEGIN, END

TEMPLATES = Path(__file__).parent / "templates"
STYLE = TEMPLATES / "report.css"  # of all pages


def rendered(**page: object) -> str:
    """A run's page as HTML; see `self_contained`."""
    return self_contained(TEMPLATES, "report", **page)


def self_contained(templates: Path, name: str, **page: object) -> str:
    """A page as HTML: a template, with everything that it shows by the names that it has there.

    All that is shown is escaped; the only script is the page's own, by its digest. The style is that of all pages, with what
    the page adds to it.

    Args:
        templates: a folder with NAME.html.j2, NAME.js, and NAME.css.
        name: of the page.
        page: what is shown.

    Raises:
        jinja2.UndefinedError: the template shows something that was not given.
    """
    environment = Environment(
        loader=FileSystemLoader(templates),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["bound"] = _bound
    sheets = dict.fromkeys((STYLE, templates / f"{name}.css"))
    css = "\n".join(sheet.read_text(encoding="utf-8").strip() for sheet in sheets)
    js = (templates / f"{name}.js").read_text(encoding="utf-8").strip()
    digest = base64.b64encode(hashlib.sha256(f"\n{js}\n".encode()).digest()).decode()
    return environment.get_template(f"{name}.html.j2").render(
        page, css=css, js=js, script_hash=f"sha256-{digest}", begin_pictures=BEGIN, end_pictures=END
    )


def _bound(text: str) -> str:
    """With numbers that no line end parts from their unit."""
    return text.replace(" %", "\u00a0%").replace("N = ", "N\u00a0=\u00a0").replace("ε ", "ε\u00a0")
