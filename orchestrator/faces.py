"""Data sets of faces: a folder of identity folders, VGGFace2's layout."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import InputError

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})


@dataclass(frozen=True)
class Photo:
    """One photo of one identity."""

    identity: str
    path: Path

    @property
    def name(self) -> str:
        """IDENTITY/FILE: how the photo is referred to in a run."""
        return printable(f"{self.identity}/{self.path.name}")


@dataclass(frozen=True)
class FaceFolder:
    """The photos of a data set by identity, and the files that are not photos."""

    root: Path
    photos: Mapping[str, Sequence[str]]  # identity -> file names, sorted bytewise
    skipped: tuple[str, ...]  # files that are not photos by their ending, relative to the root

    @property
    def identities(self) -> frozenset[str]:
        return frozenset(self.photos)

    def sha256(self) -> str:
        """Digest of the data set's photo names: what a draw depends on."""
        digest = hashlib.sha256()
        for identity, names in self.photos.items():
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


def printable(name: str) -> str:
    """A file name as text that can be stored and printed: bytes that are not UTF-8 are escaped."""
    return os.fsencode(name).decode(errors="backslashreplace")


def drawn_identities(identities: frozenset[str], *, seed: int) -> list[str]:
    """Identities in the order in which subjects are drawn: by SHA-256 of seed and identity."""
    return sorted(identities, key=lambda identity: _draw(seed, identity))


def drawn_photos(faces: FaceFolder, identity: str, *, seed: int) -> Iterator[Photo]:
    """An identity's photos in the order in which one is drawn: by SHA-256 of seed, identity and file name."""
    for name in sorted(faces.photos[identity], key=lambda name: _draw(seed, f"{identity}/{name}")):
        yield Photo(identity, faces.root / identity / name)


def _draw(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}\n".encode() + os.fsencode(name)).digest()
