"""Chooses the photo of an identity that a run shows to the protector."""

import errno
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256

from orchestrator.errors import InputError
from orchestrator.faces.data_set import Photo, canonical, drawn_photos
from orchestrator.faces.split import Split
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


@dataclass(frozen=True)
class SubjectPhotos:
    """The photos of a subject, none of which is another."""

    probe: EncodedPhoto
    cloaked: tuple[EncodedPhoto, ...] = ()  # whose cloaks are enrolled; none where no condition enrols cloaks
    clean: tuple[EncodedPhoto, ...] = ()  # that are enrolled as they are, beside these cloaks

    @property
    def identity(self) -> str:
        """The subject, as galleries spell it."""
        return canonical(self.probe.identity)


def subject_photos(run: RunContext, probe: EncodedPhoto, *, begun: Subject | None) -> SubjectPhotos | None:
    """A subject's photos, by the photo that is the probe; None where one to be enrolled cannot be read, which is noted.

    Raises:
        PhotoGoneError: one cannot be read any more, of a subject that was begun before.
        InputError: one cannot be read for a reason that may pass, or the probe is not at hand.
    """
    if not any(condition.carrier.enrols for condition in run.plan.grid.conditions):
        return SubjectPhotos(probe)
    split = run.resolved.split
    assert split is not None, "a plan whose conditions enrol divides its data set"
    photos = split.enrolled[canonical(probe.identity)]
    read = [read_photo(run, photo) for photo in photos]
    enrolled = tuple(replace(photo, identity=probe.identity) for photo in read if photo is not None)
    if len(enrolled) < len(photos):
        if begun is not None and begun.photo:
            gone = next(photo.name for photo, found in zip(photos, read, strict=True) if found is None)
            raise PhotoGoneError(f"--faces: {gone} can no longer be read; the run began with it")
        return None
    cloaked = len(photos) - split.sizes.clean
    return SubjectPhotos(_at_hand(run, probe, split), enrolled[:cloaked], enrolled[cloaked:])


def _at_hand(run: RunContext, probe: EncodedPhoto, split: Split) -> EncodedPhoto:
    """The probe itself: of a run whose kept cloaks are shown, it is among the photos that the gallery is made of."""
    if probe.encoded:
        return probe
    found = next((each for each in split.faces.photos(canonical(probe.identity)) if each.name == probe.name), None)
    again = None if found is None else read_photo(run, found)
    if again is None or again.sha256 != probe.sha256:
        raise PhotoGoneError(f"--faces: {probe.name}: expected the photo that the run was made with, got another or none")
    return replace(again, identity=probe.identity)


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
