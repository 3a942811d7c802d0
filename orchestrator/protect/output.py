"""Where the cloaked photos and the page go. Nothing is overwritten that was there before, unless that is asked for."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import InputError, OrchestratorError
from orchestrator.files import replace_file

CLOAKED = ".cloaked.jpg"  # after the name of a photo
PAGE = ".cloaked.html"
PAGE_OF_SEVERAL = "photos"  # in place of the name of the only photo


@dataclass(frozen=True)
class Outputs:
    """The files that are to be written."""

    cloaked: Mapping[Path, Path]  # by photo
    page: Path

    @property
    def all(self) -> tuple[Path, ...]:
        """All of them."""
        return (*self.cloaked.values(), self.page)


def outputs_of(photos: Sequence[Path], *, out: Path | None, overwrite: bool) -> Outputs:
    """Where files are to be written: beside each photo, or in the folder `out`.

    Raises:
        InputError: a folder cannot be written to, or a file is there already.
    """
    folders = {photo: photo.parent if out is None else out for photo in photos}
    name = photos[0].stem if len(photos) == 1 else PAGE_OF_SEVERAL
    outputs = Outputs(
        {photo: folder / f"{photo.stem}{CLOAKED}" for photo, folder in folders.items()}, folders[photos[0]] / f"{name}{PAGE}"
    )
    for folder in dict.fromkeys(folders.values()):
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise InputError(
                f"--out: {folder}: expected a folder that files can be made in, for the cloaked photos and the page: "
                f"{error.strerror or error}; name another one"
            ) from error
    check_absent(outputs.all, overwrite=overwrite)
    return outputs


def check_absent(paths: Sequence[Path], *, overwrite: bool) -> None:
    """Makes sure that no file would be lost.

    Raises:
        InputError: one is there.
    """
    there = [path for path in paths if path.exists() or path.is_symlink()]
    if there and not overwrite:
        raise InputError(
            f"--overwrite: expected no file {there[0]}, got one: move it away, or give --overwrite or --out DIR"
        )


def write(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all, readable by its owner only.

    Raises:
        OrchestratorError: it cannot be written.
    """
    try:
        replace_file(path, content)
    except OSError as error:
        raise OrchestratorError(f"{path}: cannot be written: {error.strerror or error}") from error
