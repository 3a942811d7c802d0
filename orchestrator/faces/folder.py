"""A folder of identity folders, VGGFace2's layout."""

import errno
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePath
from typing import Any, ClassVar, Self

from orchestrator.errors import InputError
from orchestrator.faces.data_set import Photo, canonical, file_name_of, printable, text_of

PHOTO_SUFFIXES = frozenset({".jfif", ".jpe", ".jpeg", ".jpg", ".png"})
CONVERTIBLE = {f".{kind.lower()}": kind for kind in ("AVIF", "BMP", "GIF", "HEIC", "HEIF", "TIF", "TIFF", "WebP")}
# Files that desktops create in folders of pictures, beside those whose names begin with a dot (AppleDouble's `._photo.jpg`).
LEFT_BY_DESKTOPS = frozenset({"desktop.ini", "thumbs.db"})
MAX_SEARCHED = 1_000  # folders, for a photo in a data set of another layout

# Errors that keep a folder from being listed until somebody mends it. After any other error it may be listed the next time.
_LASTING = frozenset({errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})


@dataclass(frozen=True)
class FaceFolder:
    """The photos of a data set by identity, and what is skipped in it. Names are text as `text_of` makes it."""

    root: Path
    names: Mapping[str, Sequence[str]]  # identity -> file names, sorted bytewise
    skipped: tuple[str, ...]  # relative to the root, printable; with the reason unless it is the suffix
    folders: Mapping[str, str]  # identity -> its folder, which may be in another normal form
    synthetic: ClassVar[bool] = False

    @property
    def identities(self) -> frozenset[str]:
        return frozenset(self.names)

    def photos(self, identity: str) -> Sequence[Photo]:
        folder = self.root / file_name_of(self.folders[identity])
        files = {name: folder / file_name_of(name) for name in self.names[identity]}
        return [Photo(identity, name, file.read_bytes, path=file) for name, file in files.items()]

    def spelt(self, labels: Mapping[str, str]) -> Self:
        return replace(
            self,
            names={labels.get(identity, identity): names for identity, names in self.names.items()},
            folders={labels.get(identity, identity): folder for identity, folder in self.folders.items()},
        )

    def card(self) -> Mapping[str, Any]:
        return {"photos_sha256": self.sha256(), "identities": len(self.names)}

    def sha256(self) -> str:
        """Digest of the data set's photo names, as the file system has them."""
        digest = hashlib.sha256()
        for identity, names in self.names.items():
            for name in names:
                digest.update(f"{self.folders[identity]}/{name}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()


def read_face_folder(root: Path, *, option: str = "--faces") -> FaceFolder:
    """Lists a data set without opening photos. Hidden files and folders are ignored. `option` named the folder.

    Raises:
        InputError: the folder cannot be read, holds no identity folder with a photo, or two of one name; or a folder in it
            cannot be listed for a reason that may pass.
    """
    photos: dict[str, list[str]] = {}
    folders: dict[str, str] = {}
    skipped: list[str] = []
    try:
        entries = listed(root)
    except OSError as error:
        raise InputError(f"{option}: {_shown(error.filename or root)}: cannot be read: {error.strerror or error}") from error
    for entry in entries:
        folder = text_of(entry.name)
        try:
            files = listed(Path(entry.path)) if entry.is_dir() else None
        except OSError as error:
            if error.errno not in _LASTING:
                raise InputError(
                    f"{option}: {_shown(entry.path)}: expected a folder that can be listed, or that never can be; got an "
                    f"error that may pass: {error.strerror or error}"
                ) from error
            skipped.append(f"{folder} (cannot be listed: {error.strerror})")
            continue
        if files is None:
            skipped.append(f"{folder}{_convertible(entry.name)}")
            continue
        found = []
        for file in files:
            if _is_photo(file.name):
                found.append(text_of(file.name))
            else:
                skipped.append(f"{folder}/{text_of(file.name)}{_reason(file)}")
        if found:
            identity = canonical(folder)
            if identity in photos:
                raise InputError(
                    f"{option}: expected one folder for each identity, got two for {printable(identity)}, whose names "
                    f"differ in their Unicode normalization alone: {folders[identity]!a} and {folder!a}"
                )
            photos[identity], folders[identity] = found, folder
    if not photos:
        raise InputError(
            f"{option}: expected a folder of identity folders with {', '.join(sorted(PHOTO_SUFFIXES))} files, "
            f"got {_shown(root)} with none{_way_out(root, entries, skipped)}"
        )
    return FaceFolder(root, photos, tuple(map(printable, skipped)), folders)


def listed(folder: Path) -> list[os.DirEntry[str]]:
    """The entries of a folder that are not hidden, sorted bytewise."""
    with os.scandir(folder) as entries:
        return sorted((entry for entry in entries if not _is_hidden(entry.name)), key=lambda entry: os.fsencode(entry.name))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in LEFT_BY_DESKTOPS


def _is_photo(name: str) -> bool:
    return PurePath(name).suffix.lower() in PHOTO_SUFFIXES


def _reason(file: os.DirEntry[str]) -> str:
    """Why a file without a photo's suffix is skipped; empty where the suffix says it."""
    try:
        is_folder = file.is_dir()
    except OSError:  # a link to itself
        is_folder = False
    return " (a folder within an identity's)" if is_folder else _convertible(file.name)


def _convertible(name: str) -> str:
    kind = CONVERTIBLE.get(PurePath(name).suffix.lower())
    return "" if kind is None else f" ({kind}: convert it to JPEG or PNG)"


def _way_out(root: Path, entries: Sequence[os.DirEntry[str]], skipped: Sequence[str]) -> str:
    """What a data set without photos in identity folders has instead, and what to do about it; empty if it has nothing."""
    loose = next((entry.name for entry in entries if _is_photo(entry.name)), None)
    if loose is not None:
        return (
            f": photos lie in it itself, such as {_shown(loose)}. Expected IDENTITY/PHOTO: give each identity a folder of "
            f"photos; where this is the folder of one identity, give {_shown(root.absolute().parent)}"
        )
    deep = next(_photos_below(root), None)
    if deep is not None:
        shown = deep.relative_to(root)
        *_, above, identity, _ = map(_shown, shown.parts)
        return (
            f": photos lie further down, such as {_shown(shown)}. Expected IDENTITY/PHOTO: where {identity} is an identity, "
            f"give {_shown(deep.parent.parent)}; where {above} is one, put its photos into {above} itself"
        )
    explained = next((printable(each) for each in skipped if each.endswith(")")), None)
    return f": skipped {len(skipped)}, such as {explained}" if explained is not None else ""


def _photos_below(root: Path) -> Iterator[Path]:
    """Photos in folders within folders of a data set, up to a number of folders."""
    for folder, folders, files in islice(os.walk(root), MAX_SEARCHED):
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        if len(Path(folder).relative_to(root).parts) > 1:
            yield from (Path(folder, name) for name in sorted(files) if not _is_hidden(name) and _is_photo(name))


def _shown(path: object) -> str:
    return printable(text_of(str(path)))
