"""Whose photos a service is asked about."""

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.errors import InputError
from orchestrator.faces import DataSet, drawn_identities, drawn_photos

SEED = 0
MOST_TRIED = 12  # identities, until one's photo shows the service a face


@dataclass(frozen=True)
class Subject:
    """A photo and whom it shows."""

    identity: str
    photo: bytes  # encoded


def subjects(faces: DataSet, *, known: frozenset[str] | None) -> Iterator[Subject]:
    """A photo each of a few identities of a data set, of those that a service knows; None: it is not known which.

    Raises:
        InputError: there is none, or a photo cannot be read.
    """
    common = faces.identities if known is None else faces.identities & known
    if not common:
        raise InputError(
            f"--faces: expected photos of people whom the service knows, got {len(faces.identities)} others; give a folder "
            "with a folder of photos for each of some identities of its label set"
        )
    for identity in drawn_identities(common, seed=SEED)[:MOST_TRIED]:
        photo = next(drawn_photos(faces, identity, seed=SEED))
        try:
            yield Subject(identity, photo.read())
        except OSError as error:
            raise InputError(f"--faces: {photo.name}: cannot be read: {error.strerror or error}") from error
