"""Folders of photos by identity: DIR/IDENTITY/PHOTO."""

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from recognizers.errors import GalleryError, shorten

PHOTO_SUFFIXES = frozenset({".jfif", ".jpe", ".jpeg", ".jpg", ".png"})


@dataclass(frozen=True)
class FolderPhoto:
    """A photo of an identity."""

    identity: str  # the name of its folder, in Unicode's normal form C
    path: Path


def read_photo_folder(folder: Path, *, option: str) -> tuple[FolderPhoto, ...]:
    """Lists the photos of identities without opening them, sorted; hidden files and other files are passed over.

    Args:
        folder: of identity folders.
        option: that named it, for messages.

    Raises:
        GalleryError: it cannot be listed, holds no identity folder, or one without a photo; or a name is no text.
    """
    photos: list[FolderPhoto] = []
    try:
        folders = [entry for entry in _listed(folder) if entry.is_dir()]
        for entry in folders:
            files = [file for file in _listed(Path(entry.path)) if Path(file.name).suffix.lower() in PHOTO_SUFFIXES]
            if not files:
                raise GalleryError(
                    f"{option}: {entry.path}: expected at least one photo ({', '.join(sorted(PHOTO_SUFFIXES))}), got none"
                )
            photos += [FolderPhoto(_identity(entry, option), Path(file.path)) for file in files]
    except OSError as error:
        raise GalleryError(f"{option}: {error.filename or folder}: cannot be read: {error.strerror or error}") from error
    if not photos:
        raise GalleryError(f"{option}: {folder}: expected a folder of identity folders with photos, got one with none")
    return tuple(sorted(photos, key=lambda photo: (photo.identity.encode(), os.fsencode(photo.path))))


def _listed(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from (entry for entry in entries if not entry.name.startswith("."))


def _identity(entry: os.DirEntry[str], option: str) -> str:
    try:
        identity = unicodedata.normalize("NFC", os.fsencode(entry.name).decode())
    except UnicodeDecodeError as error:
        raise GalleryError(f"{option}: {shorten(repr(entry.path))}: expected a folder named in UTF-8") from error
    if any(not character.isprintable() for character in identity):
        raise GalleryError(f"{option}: {shorten(repr(entry.path))}: expected a printable name of an identity")
    return identity
