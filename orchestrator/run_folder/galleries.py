"""The photos that started services enrol, in a run's folder while the run lasts."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from orchestrator.errors import OrchestratorError
from orchestrator.faces.data_set import Photo, file_name_of
from orchestrator.run_folder.folder import GALLERIES

ENROLLED, IMPOSTORS = "gallery", "impostors"


class GalleryFolders:
    """Photos as IDENTITY/FILE, which only their owner may read."""

    def __init__(self, root: Path) -> None:
        """Within `root`, an empty folder."""
        self.enrolled, self.impostors = root / ENROLLED, root / IMPOSTORS

    def write(self, folder: Path, photo: Photo) -> None:
        """Writes a photo into one of the two folders, or a link to it where it is a file.

        Raises:
            OrchestratorError: it cannot be read, or the folder cannot be written.
        """
        of_identity = folder / file_name_of(photo.identity)
        file = of_identity / file_name_of(photo.file)
        try:
            for each in (folder, of_identity):
                each.mkdir(mode=0o700, exist_ok=True)
            if photo.path is not None:
                file.symlink_to(photo.path.absolute())
                return
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
                opened.write(photo.read())
        except OSError as error:
            raise _cannot_be_made(error, file) from error


@contextmanager
def gallery_folders(root: Path) -> Iterator[GalleryFolders]:
    """Folders within `root` that nobody else has, and that are removed in the end with what is in them.

    Raises:
        OrchestratorError: they cannot be made.
    """
    with ExitStack() as stack:
        try:
            made = TemporaryDirectory(prefix=GALLERIES, dir=root, ignore_cleanup_errors=True)
            folder = Path(stack.enter_context(made)).absolute()
        except OSError as error:
            raise _cannot_be_made(error, root) from error
        yield GalleryFolders(folder)


def left_galleries(root: Path) -> list[Path]:
    """The folders that are there now: of a run that goes on, or of one that was killed."""
    return sorted(path for path in root.glob(f"{GALLERIES}*") if path.is_dir())


def _cannot_be_made(error: OSError, path: Path) -> OrchestratorError:
    reason = error.strerror or error
    return OrchestratorError(f"{error.filename or path}: the gallery cannot be made: {reason}")
