"""Data sets of faces, and how subjects and their photos are drawn from them."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol


class Photo(Protocol):
    """One photo of one identity."""

    @property
    def identity(self) -> str:
        """Who it shows."""
        ...

    @property
    def name(self) -> str:
        """IDENTITY/FILE, printable: how the photo is referred to in a run."""
        ...

    @property
    def key(self) -> str:
        """IDENTITY/FILE as the data set has it: what the draw goes by."""
        ...

    def read(self) -> bytes:
        """The encoded photo.

        Raises:
            OSError: it cannot be read.
        """
        ...


class DataSet(Protocol):
    """Photos by identity."""

    @property
    def identities(self) -> frozenset[str]:
        """Everyone in it."""
        ...

    @property
    def skipped(self) -> tuple[str, ...]:
        """Files that are not photos."""
        ...

    @property
    def synthetic(self) -> bool:
        """Whether the people in it do not exist."""
        ...

    def photos(self, identity: str) -> Sequence[Photo]:
        """An identity's photos."""
        ...

    def card(self) -> Mapping[str, Any]:
        """What a manifest says of it: all that a draw depends on."""
        ...


def printable(name: str) -> str:
    """A file name as text that can be stored and printed: bytes that are not UTF-8 are escaped."""
    return os.fsencode(name).decode(errors="backslashreplace")


def drawn_identities(identities: frozenset[str], *, seed: int) -> list[str]:
    """Identities in the order in which subjects are drawn: by SHA-256 of seed and identity."""
    return sorted(identities, key=lambda identity: _draw(seed, identity))


def drawn_photos(faces: DataSet, identity: str, *, seed: int) -> Iterator[Photo]:
    """An identity's photos in the order in which one is drawn: by SHA-256 of seed, identity and file name."""
    yield from sorted(faces.photos(identity), key=lambda photo: _draw(seed, photo.key))


def _draw(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}\n".encode() + os.fsencode(name)).digest()
