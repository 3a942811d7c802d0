"""What a target model answers, and how much of it leaves the invader."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from deid.invader.v1 import invader_pb2


@dataclass(frozen=True)
class Candidate:
    """An identity and its softmax probability, rounded to 4 decimal places."""

    identity: str
    probability: float


class Disclosure(StrEnum):
    """What a classification discloses."""

    TOP1 = "top1"  # the most probable identity alone
    RANKED = "ranked"  # the candidates in their order
    PROBABILITIES = "probabilities"  # and how probable each is

    @property
    def on_the_wire(self) -> "invader_pb2.Disclosure.ValueType":
        return invader_pb2.Disclosure.Value(f"DISCLOSURE_{self.name}")

    def max_candidates(self, most: int) -> int:
        """The largest k, of the `most` that a classification could return."""
        return 1 if self is Disclosure.TOP1 else most

    def of(self, candidates: Sequence[Candidate]) -> list[invader_pb2.Candidate]:
        """What may leave of ranked candidates."""
        if self is Disclosure.TOP1:
            candidates = candidates[:1]
        if self is Disclosure.PROBABILITIES:
            return [invader_pb2.Candidate(identity=each.identity, probability=each.probability) for each in candidates]
        return [invader_pb2.Candidate(identity=each.identity) for each in candidates]
