"""The photos that started services enrol, in a run's folder while the run lasts."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from orchestrator.errors import OrchestratorError
from orchestrator.faces.data_set import Photo, file_name_of
from orchestrator.faces.split import Split
from orchestrator.run_folder.folder import GALLERIES

ENROLLED, IMPOSTORS = "gallery", "impostors"


class GalleryFolders(NamedTuple):
    """Where the photos are, as IDENTITY/FILE."""

    enrolled: Path
    impostors: Path | None  # None: there are none


@contextmanager
def gallery_folders(split: Split, root: Path) -> Iterator[GalleryFolders]:
    """Writes the photos of a split into a folder within `root`, which only its owner may read, and removes them in the end.

    Photos that are files are linked to.

    Raises:
        OrchestratorError: a photo cannot be read, or the folder cannot be written.
    """
    with ExitStack() as stack:
        try:
            made = TemporaryDirectory(prefix=GALLERIES, dir=root, ignore_cleanup_errors=True)
            folder = Path(stack.enter_context(made)).absolute()
            _write(split.enrolled, folder / ENROLLED)
            _write(split.impostors, folder / IMPOSTORS)
        except OSError as error:
            reason = error.strerror or error
            raise OrchestratorError(f"{error.filename or root}: the gallery cannot be made: {reason}") from error
        yield GalleryFolders(folder / ENROLLED, folder / IMPOSTORS if split.impostors else None)


def left_galleries(root: Path) -> list[Path]:
    """The folders that are there now: of a run that goes on, or of one that was killed."""
    return sorted(path for path in root.glob(f"{GALLERIES}*") if path.is_dir())


def _write(photos: Mapping[str, Sequence[Photo]], folder: Path) -> None:
    for identity, of_identity in photos.items():
        of = folder / file_name_of(identity)
        of.mkdir(mode=0o700, parents=True)
        for photo in of_identity:
            file = of / file_name_of(photo.file)
            if photo.path is not None:
                file.symlink_to(photo.path.absolute())
            else:
                _write_file(file, photo.read())


def _write_file(file: Path, encoded: bytes) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
        opened.write(encoded)
