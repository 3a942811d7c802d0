"""Models, as services list them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from orchestrator.experiment.region import Region

NOT_STATED = "not stated"  # by a service, of something that its figures depend on


class ModelKind(StrEnum):
    """What a model compares a face with."""

    CLASSIFIER = "classifier"  # a trained layer with a row for each identity
    MATCHER = "matcher"  # the templates of a gallery


@dataclass(frozen=True)
class Threshold:
    """A score from which on a matcher takes a candidate for the person in the picture; the score itself is not disclosed."""

    name: str  # such as "fpir:0.01", "fmr:0.001" or "given"
    comparisons: int = 0  # that it was calibrated on; 0 of one that was given
    false_positives: int = 0  # how many of these reach it


@dataclass(frozen=True)
class Model:
    """A source or target model as its service lists it."""

    name: str
    identities: int
    label_set_sha256: str
    max_candidates: int | None  # target models only
    card: Mapping[str, Any]  # all that the service discloses, for the manifest
    kind: ModelKind = ModelKind.CLASSIFIER
    gallery_sha256: str | None = None  # of a matcher
    regions: frozenset[Region] = frozenset({Region.DETECTED})  # target models only
    thresholds: tuple[Threshold, ...] = ()  # of a matcher, by name in ascending order


def ensemble_card(members: Sequence[Model]) -> dict[str, Any]:
    """The card of an ensemble: its probe has the largest of the input sizes, and what its members share is its own."""
    shared = dict(set.intersection(*(set(member.card.items()) for member in members)))
    own = {field: shared[field] for field in ("identities", "label_set_sha256", "extraction") if field in shared}
    input_size = max(int(member.card["input_size"]) for member in members)
    return own | {"input_size": input_size, "members": {member.name: dict(member.card) for member in members}}
