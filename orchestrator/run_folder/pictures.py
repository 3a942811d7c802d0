"""Where the pictures of a run are: in its folder, in its report, in figures."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.run_folder.folder import RunFolder

BEGIN, END = "<!-- pictures -->", "<!-- end of pictures -->"
INSTEAD = '<p class="removed">The pictures of this run were removed.</p>'
PREFIX = "cloaks"  # of the names of figures that are made of pictures


def without_pictures(page: str) -> str:
    """The page without what stands between its marks."""
    return re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", INSTEAD, page, flags=re.DOTALL)


def absence(manifest: Mapping[str, Any]) -> str:
    """Why the folder of a run holds no cloaks of a subject, as far as is known."""
    elsewhere = ", or they lie in the folder of another orchestrator" if "store" in manifest else ""
    return f"the run discarded its cloaks, or they were removed since{elsewhere}"


def kept_pictures(folder: RunFolder) -> list[Path]:
    """The files of the cloaks that a run keeps."""
    return sorted(path for path in folder.pictures.rglob("*") if path.is_file())


def picture_figures(folder: Path) -> list[Path]:
    """The files of figures that are made of pictures."""
    return sorted(folder.glob(f"{PREFIX}*"))
