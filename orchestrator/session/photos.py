"""Chooses the photo of an identity that a run shows to the protector."""

import errno
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from orchestrator.errors import InputError
from orchestrator.faces.data_set import Photo, drawn_photos
from orchestrator.session.context import RunContext
from orchestrator.store.records import Subject

# Errors that keep a photo from being read until somebody mends it: it is missing, forbidden, or not a file.
_OF_THE_PHOTO = frozenset({errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ELOOP})


class PhotoGoneError(InputError):
    """The photo that an identity was begun with is missing, or has changed."""


@dataclass(frozen=True)
class EncodedPhoto:
    """A photo that was read. The protector decides whether it is a whole picture, and small enough."""

    identity: str
    name: str  # IDENTITY/FILE
    encoded: bytes
    sha256: str


def readable_photos(run: RunContext, identity: str, *, begun: Subject | None) -> Iterator[EncodedPhoto]:
    """The photos of an identity in the order of the draw, from the one that it was begun with on, if it was begun before.

    Raises:
        PhotoGoneError: the photo that it was begun with cannot be read any more, or has changed.
        InputError: a photo cannot be read for a reason that may pass; with another in its place the draw would differ.
    """
    drawn = drawn_photos(run.plan.faces, identity, seed=run.plan.seed)
    if begun is not None and begun.photo:
        found = next((photo for photo in drawn if photo.name == begun.photo), None)
        again = None if found is None else read_photo(run, found)
        if again is None:
            raise PhotoGoneError(f"--faces: {begun.photo} can no longer be read; the run began with it")
        if again.sha256 != begun.photo_sha256:
            raise PhotoGoneError(f"--faces: {again.name} is not the photo that the run began with: its SHA-256 is another")
        yield again
    for photo in drawn:
        if (encoded := read_photo(run, photo)) is not None:
            yield encoded


def skip(run: RunContext, name: str, error: Exception) -> None:
    """Notes that a photo cannot be used."""
    run.tally.unreadable_photos.append(name)
    run.progress.note(f"skipped: {name}: {error}")


def read_photo(run: RunContext, photo: Photo) -> EncodedPhoto | None:
    """A photo; None where it cannot be read, which is noted.

    Raises:
        InputError: it cannot be read for a reason that may pass.
    """
    try:
        encoded = photo.read()
    except OSError as error:
        if error.errno not in _OF_THE_PHOTO:
            raise InputError(
                f"--faces: {photo.name}: expected a photo that can be read, or that never can be; got an error that "
                f"may pass: {error.strerror or error}; see to it, and the same command goes on"
            ) from error
        skip(run, photo.name, error)
        return None
    return EncodedPhoto(photo.identity, photo.name, encoded, photo.sha256 or sha256(encoded).hexdigest())
