"""What was observed; metrics are made of these."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from orchestrator.errors import MetricError
from orchestrator.experiment.grid import Cell


class Outcome(StrEnum):
    """What a target model did with a cloak. A failed call is none of these: it is not an observation."""

    RANKED = "ranked"  # the true identity is among the candidates
    BEYOND = "beyond"  # it is not among the candidates asked for
    NO_FACE = "no_face"  # the invader found no face
    NOT_ENROLLED = "not_enrolled"  # nothing was searched: no face was found in any of the pictures to enrol


@dataclass(frozen=True)
class Observation:
    """One answer of one target model about one stored cloak.

    Raises:
        MetricError: outcome and rank contradict each other.
    """

    probe: str  # the photo, as IDENTITY/FILE
    cell: Cell
    outcome: Outcome
    rank: int | None  # 1-based place of the true identity; None unless ranked
    candidates: int  # candidates asked for
    reached: Mapping[str, int] = field(default_factory=dict)  # by threshold of a matcher, how many candidates reach it

    def __post_init__(self) -> None:
        ranked = self.outcome is Outcome.RANKED
        if ranked != (self.rank is not None) or (self.rank is not None and not 1 <= self.rank <= self.candidates):
            raise MetricError(
                f"{self.probe}: outcome {self.outcome} and rank {self.rank} of {self.candidates} contradict each other"
            )
