"""Data sets of faces, and how subjects and their photos are drawn from them."""

import hashlib
import os
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self


@dataclass(frozen=True)
class Photo:
    """One photo of one identity."""

    identity: str  # who it shows
    file: str  # its name in the data set
    read: Callable[[], bytes]  # the encoded photo; OSError where it cannot be read
    sha256: str | None = None  # of a photo that is not at hand, in place of which nothing is read
    path: Path | None = None  # of one that is a file

    @property
    def key(self) -> str:
        """IDENTITY/FILE as the data set has it: what the draw goes by."""
        return f"{self.identity}/{self.file}"

    @property
    def name(self) -> str:
        """IDENTITY/FILE, printable: how the photo is referred to in a run."""
        return printable(self.key)


class DataSet(Protocol):
    """Photos by identity."""

    @property
    def identities(self) -> frozenset[str]:
        """All identities, in Unicode's normal form C unless `spelt` changed them."""
        ...

    @property
    def skipped(self) -> tuple[str, ...]:
        """Files that are not photos and folders that cannot be listed, with the reason unless the suffix says it."""
        ...

    @property
    def synthetic(self) -> bool:
        """Whether the people in it do not exist."""
        ...

    def photos(self, identity: str) -> Sequence[Photo]:
        """An identity's photos."""
        ...

    def spelt(self, labels: Mapping[str, str]) -> Self:
        """The same data set with its identities spelt as their labels, which may be in another normal form."""
        ...

    def card(self) -> Mapping[str, Any]:
        """What a manifest states of the data set: all that a draw depends on."""
        ...


# Python decodes names of the file system by the locale. Here their bytes are decoded as UTF-8 whatever the locale is, so
# that names compare with labels, and draw the same subjects, on every machine. A byte that is not UTF-8 becomes a lone
# surrogate, which no label can hold.


def text_of(file_name: str) -> str:
    """The text of a file name, which Python decoded by the locale."""
    return os.fsencode(file_name).decode(errors="surrogateescape")


def file_name_of(text: str) -> str:
    """The file name of which `text_of` gave the text."""
    return os.fsdecode(text.encode(errors="surrogateescape"))


def canonical(text: str) -> str:
    """The text in Unicode's normal form C, which is the same for all spellings of one name."""
    return unicodedata.normalize("NFC", text)


def printable(text: str) -> str:
    """The text with bytes that are not UTF-8 escaped, so that it can be stored and printed."""
    return text.encode(errors="surrogateescape").decode(errors="backslashreplace")


def named(names: Sequence[str], *, at_most: int) -> str:
    """The first names, for a message."""
    return ", ".join(map(printable, names[:at_most])) + (", ..." if len(names) > at_most else "")


def drawn_identities(identities: frozenset[str], *, seed: int) -> list[str]:
    """Identities in the order in which subjects are drawn: by SHA-256 of seed and identity."""
    return sorted(identities, key=lambda identity: _draw(seed, identity))


def drawn_photos(faces: DataSet, identity: str, *, seed: int) -> Iterator[Photo]:
    """An identity's photos in the order in which one is drawn: by SHA-256 of seed, identity and file name."""
    yield from sorted(faces.photos(identity), key=lambda photo: _draw(seed, photo.key))


def _draw(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}\n{name}".encode(errors="surrogateescape")).digest()
