"""The photos that a service is shown."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from orchestrator.errors import InputError
from orchestrator.faces.data_set import DataSet, drawn_identities, drawn_photos
from orchestrator.faces.labels import match, whom_models_know

SEED = 0
MAX_TRIED = 12  # identities, until the service finds a face


@dataclass(frozen=True)
class Subject:
    """A photo and the identity that it shows."""

    identity: str
    photo: bytes  # encoded


def subjects(faces: DataSet, *, known: Collection[str] | None) -> Iterator[Subject]:
    """One photo each of a few identities that a service knows; of any identities if `known` is None.

    Raises:
        InputError: there is none, or a photo cannot be read.
    """
    if known is not None:
        matched = match(faces, [known])
        if not matched.known:
            raise InputError(
                f"--faces: expected photos of people whom the service knows, got {len(faces.identities)} others; give a "
                "folder with a folder of photos for each of some identities of its label set: "
                f"{whom_models_know(faces, {'the service': known})}"
            )
        faces, common = matched.faces, matched.known
    else:
        common = faces.identities
    for identity in drawn_identities(common, seed=SEED)[:MAX_TRIED]:
        photo = next(drawn_photos(faces, identity, seed=SEED))
        try:
            yield Subject(identity, photo.read())
        except OSError as error:
            raise InputError(f"--faces: {photo.name}: cannot be read: {error.strerror or error}") from error
