"""Models, as services list them."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Model:
    """A source or target model as its service lists it."""

    name: str
    identities: int
    label_set_sha256: str
    max_candidates: int | None  # target models only
    card: Mapping[str, str | int]  # all that the service discloses, for the manifest
