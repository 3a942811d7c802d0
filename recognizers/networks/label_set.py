"""Label sets: the identities a closed-set recognizer can answer with, in class order."""

import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from recognizers.errors import LabelSetError, UnknownIdentityError


@dataclass(frozen=True)
class LabelSet:
    """The identities a recognizer can answer with; an identity's position is its class index.

    Raises:
        LabelSetError: the set is empty, or holds an empty or a repeated identity. Identities that are the same in Unicode's
            form NFC are one: the names of folders are compared so.
    """

    identities: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.identities:
            raise LabelSetError("a label set needs at least one identity, got none")
        for index, identity in enumerate(self.identities):
            if not identity or "\n" in identity:
                raise LabelSetError(f"class {index}: expected an identity on one line, got {identity!r}")
        check_distinct(self.identities)

    @cached_property
    def _indices(self) -> dict[str, int]:
        return {identity: index for index, identity in enumerate(self.identities)}

    def __len__(self) -> int:
        return len(self.identities)

    def __contains__(self, identity: object) -> bool:
        return identity in self._indices

    def index(self, identity: str) -> int:
        """Class index of an identity.

        Raises:
            UnknownIdentityError: the label set does not hold it.
        """
        try:
            return self._indices[identity]
        except KeyError:
            raise UnknownIdentityError(f"identity {identity!r} is not among the {len(self)} of the label set") from None

    @cached_property
    def sha256(self) -> str:
        """SHA-256 (hexadecimal) of the identities in class order, UTF-8, joined by line feeds."""
        return hashlib.sha256("\n".join(self.identities).encode()).hexdigest()


def check_distinct(identities: Sequence[str], *, lines: Sequence[int] = ()) -> None:
    """Refuses a repeated identity, by its classes and, where they are known, its lines.

    Raises:
        LabelSetError: an identity stands twice.
    """
    first: dict[str, int] = {}
    for index, identity in enumerate(identities):
        if (earlier := first.setdefault(unicodedata.normalize("NFC", identity), index)) == index:
            continue
        same = identities[earlier] == identity
        spelt = "" if same else f" (as {identities[earlier]!a} and as {identity!a}, which are one in Unicode's form NFC)"
        at = f", lines {lines[earlier]} and {lines[index]}" if lines else ""
        raise LabelSetError(f"identity {identities[earlier]!r} stands twice{spelt}: classes {earlier} and {index}{at}")
