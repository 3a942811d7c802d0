"""Embeddings of enrolled photos that were made before, in one SQLite file that only its owner may read.

An embedding tells a person as well as the photo does. Nothing but numbers is kept, under digests.
"""

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from recognizers.errors import GalleryError

FILE = "embeddings.sqlite"
_WAIT_SECONDS = 60.0  # for another service that writes

NO_FACE: Tensor = torch.empty(0)  # in place of an embedding


def usual_folder() -> Path:
    """Where a user's caches are, by the XDG Base Directory Specification."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "face-deid-bench"


def delete_embeddings(folder: Path) -> list[Path]:
    """Deletes what an `EmbeddingCache` keeps in a folder.

    Returns:
        the files that were there.

    Raises:
        GalleryError: one cannot be deleted.
    """
    deleted = []
    for name in (FILE, f"{FILE}-journal"):
        try:
            (folder / name).unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise GalleryError(f"{folder / name}: cannot be deleted: {error.strerror or error}") from error
        deleted.append(folder / name)
    return deleted


class EmbeddingCache:
    """Embeddings by the photo's digest and by what made them. Several processes may use one file."""

    def __init__(self, folder: Path | None) -> None:
        """Makes the file where it is not yet; without a folder nothing is kept.

        Raises:
            GalleryError: it cannot be made.
        """
        self._file = None if folder is None else folder / FILE
        if folder is None or self._file is None:
            return
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self._file, os.O_CREAT | os.O_RDWR, 0o600))
            with self._connected() as database:
                database.execute(
                    "CREATE TABLE IF NOT EXISTS embeddings "
                    "(photo BLOB, made_by BLOB, embedding BLOB, PRIMARY KEY (photo, made_by)) WITHOUT ROWID"
                )
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error

    def find(self, photos: Sequence[str], *, made_by: str) -> dict[str, Tensor]:
        """The embeddings (F,), float32, that are there, by photo; NO_FACE of one in which none was found.

        Args:
            photos: SHA-256 of their files, hexadecimal.
            made_by: digest of all else that an embedding depends on.

        Raises:
            GalleryError: the file cannot be read.
        """
        found: dict[str, Tensor] = {}
        if self._file is None:
            return found
        query = "SELECT embedding FROM embeddings WHERE photo = ? AND made_by = ?"
        try:
            with self._connected() as database:
                for photo in photos:
                    key = bytes.fromhex(photo), bytes.fromhex(made_by)
                    if row := database.execute(query, key).fetchone():
                        found[photo] = torch.from_numpy(np.frombuffer(row[0], "<f4").copy())
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        return found

    def keep(self, embeddings: Mapping[str, Tensor], *, made_by: str) -> None:
        """Keeps embeddings by photo, or NO_FACE; see `find`."""
        if self._file is None:
            return
        rows = [
            (bytes.fromhex(photo), bytes.fromhex(made_by), embedding.float().numpy().astype("<f4").tobytes())
            for photo, embedding in embeddings.items()
        ]
        try:
            with self._connected() as database:
                database.executemany("INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?)", rows)
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._file or "", timeout=_WAIT_SECONDS)) as database, database:
            yield database

    def _unusable(self, error: Exception) -> GalleryError:
        return GalleryError(
            f"--embedding-cache: {self._file}: cannot be used: {error}; delete it, or name another folder, or off"
        )
