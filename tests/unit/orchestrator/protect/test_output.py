"""Where files go, and that none is lost."""

from pathlib import Path

import pytest

from orchestrator.errors import InputError, OrchestratorError
from orchestrator.protect.output import outputs_of, write


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    found = [tmp_path / "a" / "one.jpg", tmp_path / "b" / "two.png"]
    for path in found:
        path.parent.mkdir()
    return found


def test_a_cloak_is_beside_its_photo_and_the_page_beside_the_first(photos: list[Path]) -> None:
    first, second = photos
    one = outputs_of([first], out=None, overwrite=False)
    assert (list(one.cloaked.values()), one.page) == (
        [first.parent / "one.cloaked.jpg"],
        first.parent / "one.cloaked.html",
    )
    both = outputs_of(photos, out=None, overwrite=False)
    assert both.all == (
        first.parent / "one.cloaked.jpg",
        second.parent / "two.cloaked.jpg",
        first.parent / "photos.cloaked.html",
    )


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path, photos: list[Path]) -> None:
    for folder in (tmp_path / "missing", Path("/proc")):  # a read-only folder is none to whoever may do everything
        with pytest.raises(InputError, match=f"--out: {folder}: expected a folder that files can be made in"):
            outputs_of(photos, out=folder, overwrite=False)


@pytest.mark.parametrize("name", ["one.cloaked.jpg", "one.cloaked.html"])
def test_a_file_that_is_there_is_not_overwritten_unless_it_is_asked_for(photos: list[Path], name: str) -> None:
    (photos[0].parent / name).symlink_to("nowhere")
    with pytest.raises(InputError, match=f"expected no file .*{name}, got one: move it away, or give --overwrite or --out"):
        outputs_of(photos[:1], out=None, overwrite=False)
    assert outputs_of(photos[:1], out=None, overwrite=True).page.name == "one.cloaked.html"


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(OrchestratorError, match="cannot be written"):
        write(tmp_path / "missing" / "file", b"")
