"""Who of a data set is enrolled in a gallery, with which photos, and who is not.

Photos and people are divided by the draw. The first photo of each enrolled identity stays out of the gallery: it is the
probe. The last identities of the draw are not enrolled: some are searched all the same, and thresholds are calibrated on
others, on the first photo of each, so that no two of these searches show the same person.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from typing import Any, Self

from orchestrator.errors import InputError
from orchestrator.faces.data_set import DataSet, Photo, canonical, drawn_identities, drawn_photos, printable

DEFAULT_PHOTOS = 2  # of synthetic people: two of four may be enrolled and a third searched
DEFAULT_NON_MATED = 50  # of as many synthetic people as there are by default
MIN_PEOPLE = 300  # for that many who are not enrolled
OVERLAP = "that a photo is both enrolled and searched cannot be excluded"  # of a gallery that no split is known of


@dataclass(frozen=True)
class SplitSizes:
    """The sizes of the parts of a data set; with it and the seed of the draw they say who is in which."""

    photos: int  # of each enrolled identity, beside the probe
    non_mated: int = 0  # identities that are searched and not enrolled
    impostors: int = 0  # identities that thresholds are calibrated on; neither enrolled nor searched
    clean: int = 0  # of a subject's photos, those that are enrolled as they are where cloaks of the others are enrolled


@dataclass(frozen=True)
class Split:
    """The parts of a data set."""

    sizes: SplitSizes
    faces: DataSet
    enrolled: Mapping[str, tuple[Photo, ...]]  # by identity
    impostors: Mapping[str, tuple[Photo, ...]]  # that thresholds are calibrated on, by identity
    non_mated: tuple[str, ...]  # identities that are searched and not enrolled, in the order of the draw
    too_few: tuple[str, ...]  # identities with too few photos to be enrolled, sorted

    def probes(self, searched: DataSet) -> "Probes":
        """The photos of enrolled identities that are not enrolled, of these photos."""
        return Probes(searched, self)

    @cached_property
    def enrolled_files(self) -> Mapping[str, frozenset[str]]:
        """The names of enrolled photos, printable, by identity."""
        return {identity: frozenset(printable(photo.file) for photo in photos) for identity, photos in self.enrolled.items()}

    def gallery_sha256(self) -> str:
        """The digest of a gallery with all of its photos, as the protocol defines it; reads them.

        Raises:
            OSError: one cannot be read.
        """
        lines = {
            f"{identity}\t{sha256(photo.read()).hexdigest()}".encode()
            for identity, photos in self.enrolled.items()
            for photo in photos
        }
        return sha256(b"\n".join(sorted(lines))).hexdigest()


@dataclass(frozen=True)
class Probes:
    """The enrolled people of a data set, with those of their photos that are not enrolled."""

    faces: DataSet
    split: Split

    @property
    def identities(self) -> frozenset[str]:
        return frozenset(identity for identity in self.faces.identities if canonical(identity) in self.split.enrolled)

    @property
    def skipped(self) -> tuple[str, ...]:
        return self.faces.skipped

    @property
    def synthetic(self) -> bool:
        return self.faces.synthetic

    def photos(self, identity: str) -> Sequence[Photo]:
        enrolled = self.split.enrolled_files[canonical(identity)]
        return [photo for photo in self.faces.photos(identity) if printable(photo.file) not in enrolled]

    def spelt(self, labels: Mapping[str, str]) -> Self:
        return replace(self, faces=self.faces.spelt(labels))

    def card(self) -> Mapping[str, Any]:
        return self.faces.card()


def default_sizes(faces: DataSet) -> SplitSizes | None:
    """How people are divided where nobody says it: not at all, unless they do not exist and have photos enough."""
    if not faces.synthetic:
        return None
    fewest = min(len(faces.photos(identity)) for identity in faces.identities)
    if fewest < 2:
        return None
    return SplitSizes(
        photos=min(DEFAULT_PHOTOS, fewest - 1), non_mated=DEFAULT_NON_MATED if len(faces.identities) >= MIN_PEOPLE else 0
    )


def split(faces: DataSet, sizes: SplitSizes, *, seed: int, searched: DataSet | None = None) -> Split:
    """Divides a data set.

    Args:
        faces: the data set, its identities in Unicode's normal form C.
        sizes: of the parts.
        seed: of the draw.
        searched: the photos that can be probes; by default all. Of an identity that has none there, as if it had all.

    Raises:
        InputError: there are too few people, or they have too few photos.
    """
    drawn = [identity for identity in drawn_identities(faces.identities, seed=seed) if _is_name(identity)]
    apart = sizes.non_mated + sizes.impostors
    if apart >= len(drawn):
        numbers = {"--non-mated": sizes.non_mated, "--impostors": sizes.impostors}
        raise InputError(
            f"{', '.join(flag for flag, number in numbers.items() if number)}: expected fewer people than the {len(drawn)} "
            f"of --faces, so that somebody is left to enrol, got {apart}"
        )
    mated, others = drawn[: len(drawn) - apart], drawn[len(drawn) - apart :]
    probes = {} if searched is None else _first_photos(searched, seed=seed)
    enrolled = {identity: _gallery_photos(faces, identity, sizes.photos, seed, probes.get(identity)) for identity in mated}
    too_few = frozenset(identity for identity, photos in enrolled.items() if len(photos) < sizes.photos)
    if len(too_few) == len(mated):
        most = max(len(faces.photos(identity)) for identity in mated)
        raise InputError(
            f"--gallery-photos: expected people with at least {sizes.photos + 1} photos, {sizes.photos} to enrol and one to "
            f"search with, got {len(mated)} who have {most} at most"
        )
    return Split(
        sizes=sizes,
        faces=faces,
        enrolled={identity: photos for identity, photos in enrolled.items() if identity not in too_few},
        impostors={identity: (next(drawn_photos(faces, identity, seed=seed)),) for identity in others[: sizes.impostors]},
        non_mated=tuple(others[sizes.impostors :]),
        too_few=tuple(sorted(too_few)),
    )


def _is_name(identity: str) -> bool:
    """Whether a gallery can have it: other names are no text, or cannot be printed."""
    return printable(identity) == identity and identity.isprintable()


def _first_photos(faces: DataSet, *, seed: int) -> dict[str, str]:
    """The file, printable, of each identity's first photo, by identity in normal form C."""
    return {
        canonical(identity): printable(next(drawn_photos(faces, identity, seed=seed)).file) for identity in faces.identities
    }


def _gallery_photos(faces: DataSet, identity: str, number: int, seed: int, probe: str | None) -> tuple[Photo, ...]:
    """So many photos of an identity, or fewer, beside its probe: the file that is named, or else the first."""
    first, *others = drawn_photos(faces, identity, seed=seed)
    if probe is not None and printable(first.file) != probe:
        others = [first, *(photo for photo in others if printable(photo.file) != probe)]
    return tuple(others[:number])
