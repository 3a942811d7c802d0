"""What a target model answers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Candidate:
    """An identity and its softmax probability, rounded to 4 decimal places."""

    identity: str
    probability: float
