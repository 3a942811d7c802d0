"""Models, as services list them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NOT_STATED = "not stated"  # by a service, of something that its figures depend on


@dataclass(frozen=True)
class Model:
    """A source or target model as its service lists it."""

    name: str
    identities: int
    label_set_sha256: str
    max_candidates: int | None  # target models only
    card: Mapping[str, str | int]  # all that the service discloses, for the manifest


def ensemble_card(members: Sequence[Model]) -> dict[str, Any]:
    """The card of an ensemble: its probe has the largest of the input sizes, and what its members share is its own."""
    shared = dict(set.intersection(*(set(member.card.items()) for member in members)))
    own = {field: shared[field] for field in ("identities", "label_set_sha256", "extraction") if field in shared}
    input_size = max(int(member.card["input_size"]) for member in members)
    return own | {"input_size": input_size, "members": {member.name: dict(member.card) for member in members}}
