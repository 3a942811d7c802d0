"""A request to enrol an identity, as it came."""

import hashlib
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class EnrolOrder:
    """Who is to be enrolled where, with which photos: what it says, whether or not that is possible."""

    gallery: str
    identity: str
    photos: tuple[bytes, ...]  # encoded, in the order of the request

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of each photo, lower-case hexadecimal."""
        return tuple(hashlib.sha256(photo).hexdigest() for photo in self.photos)
