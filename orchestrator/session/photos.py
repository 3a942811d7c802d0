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

    @property
    def sha256(self) -> str:
        return sha256(self.encoded).hexdigest()


class PhotoDraw:
    """The photos of a run's identities in the order of the draw."""

    def __init__(self, run: RunContext) -> None:
        self._run = run

    def photos(self, identity: str, *, begun: Subject | None) -> Iterator[EncodedPhoto]:
        """The photos of an identity that can be read, from the one that it was begun with on, if it was begun before.

        Raises:
            PhotoGoneError: the photo that it was begun with cannot be read any more, or has changed.
            InputError: a photo cannot be read for a reason that may pass; with another in its place the draw would differ.
        """
        drawn = drawn_photos(self._run.plan.faces, identity, seed=self._run.plan.seed)
        if begun is not None and begun.photo:
            yield self._read_again(begun, drawn)
        for photo in drawn:
            if (encoded := self._read(photo)) is not None:
                yield encoded

    def skip(self, name: str, error: Exception) -> None:
        """Notes that a photo cannot be used."""
        self._run.tally.unreadable_photos.append(name)
        self._run.progress.note(f"skipped: {name}: {error}")

    def _read(self, photo: Photo) -> EncodedPhoto | None:
        try:
            return EncodedPhoto(photo.identity, photo.name, photo.read())
        except OSError as error:
            if error.errno not in _OF_THE_PHOTO:
                raise InputError(
                    f"--faces: {photo.name}: expected a photo that can be read, or that never can be; got an error that "
                    f"may pass: {error.strerror or error}; see to it, and the same command goes on"
                ) from error
            self.skip(photo.name, error)
            return None

    def _read_again(self, begun: Subject, drawn: Iterator[Photo]) -> EncodedPhoto:
        found = next((photo for photo in drawn if photo.name == begun.photo), None)
        photo = None if found is None else self._read(found)
        if photo is None:
            raise PhotoGoneError(f"--faces: {begun.photo} can no longer be read; the run began with it")
        if photo.sha256 != begun.photo_sha256:
            raise PhotoGoneError(f"--faces: {photo.name} is not the photo that the run began with: its SHA-256 is another")
        return photo
