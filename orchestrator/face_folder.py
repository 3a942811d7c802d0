"""A folder of identity folders, VGGFace2's layout."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from orchestrator.errors import InputError
from orchestrator.faces import Photo, printable

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})


@dataclass(frozen=True)
class PhotoFile:
    """A photo in a file."""

    identity: str
    path: Path

    @property
    def key(self) -> str:
        return f"{self.identity}/{self.path.name}"

    @property
    def name(self) -> str:
        return printable(self.key)

    def read(self) -> bytes:
        """See `Photo.read`."""
        return self.path.read_bytes()


@dataclass(frozen=True)
class FaceFolder:
    """The photos of a data set by identity, and the files that are not photos."""

    root: Path
    names: Mapping[str, Sequence[str]]  # identity -> file names, sorted bytewise
    skipped: tuple[str, ...]  # files that are not photos by their ending, relative to the root
    synthetic: ClassVar[bool] = False

    @property
    def identities(self) -> frozenset[str]:
        return frozenset(self.names)

    def photos(self, identity: str) -> Sequence[Photo]:
        """See `DataSet.photos`."""
        return [PhotoFile(identity, self.root / identity / name) for name in self.names[identity]]

    def card(self) -> Mapping[str, Any]:
        """See `DataSet.card`."""
        return {"photos_sha256": self.sha256(), "identities": len(self.names)}

    def sha256(self) -> str:
        """Digest of the data set's photo names."""
        digest = hashlib.sha256()
        for identity, names in self.names.items():
            for name in names:
                digest.update(os.fsencode(f"{identity}/{name}\n"))
        return digest.hexdigest()


def read_face_folder(root: Path) -> FaceFolder:
    """Lists a data set; no photo is opened.

    Raises:
        InputError: the folder cannot be read, or holds no identity folder with a photo.
    """
    photos: dict[str, list[str]] = {}
    skipped: list[str] = []
    try:
        for entry in sorted(os.scandir(root), key=lambda entry: os.fsencode(entry.name)):
            if not entry.is_dir():
                skipped.append(entry.name)
                continue
            names = sorted((file.name for file in Path(entry.path).iterdir()), key=os.fsencode)
            found = [name for name in names if Path(name).suffix.lower() in PHOTO_SUFFIXES]
            skipped += [f"{entry.name}/{name}" for name in names if name not in set(found)]
            if found:
                photos[entry.name] = found
    except OSError as error:
        raise InputError(f"--faces: {error.filename}: cannot be read: {error.strerror or error}") from error
    if not photos:
        raise InputError(
            f"--faces: expected a folder of identity folders with {', '.join(sorted(PHOTO_SUFFIXES))} files, "
            f"got {root} with none"
        )
    return FaceFolder(root, photos, tuple(map(printable, skipped)))
