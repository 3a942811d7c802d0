"""What services answer, as records: models as they are listed, and cloaks."""

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.experiment.grid import CloakKey


@dataclass(frozen=True)
class Model:
    """A source or target model as its service lists it."""

    name: str
    identities: int
    label_set_sha256: str
    max_candidates: int | None  # target models only
    card: Mapping[str, str | int]  # all that the service discloses, for the manifest


@dataclass(frozen=True)
class Cloak:
    """A stored cloak, as the protector sent it."""

    key: CloakKey
    n_iter: int
    largest_change: int  # levels, before storage
    zero_gradient_share: float
    probe_sha256: str
    sha256: str
    encoded: bytes
