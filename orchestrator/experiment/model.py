"""Models, as services list them."""

from collections.abc import Mapping
from dataclasses import dataclass

NOT_STATED = "not stated"  # by a service, of something that its figures depend on


@dataclass(frozen=True)
class Model:
    """A source or target model as its service lists it."""

    name: str
    identities: int
    label_set_sha256: str
    max_candidates: int | None  # target models only
    card: Mapping[str, str | int]  # all that the service discloses, for the manifest
