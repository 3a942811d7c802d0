"""Searches of people who are not enrolled, and how often a matcher takes one for somebody who is.

A search whose person is not in the gallery is *non-mated* (ISO/IEC 19795-1). It is a false positive at a threshold T where
a candidate reaches T: FPIR(N, T), N being the size of the gallery, is their share. How many people are searched is fixed
beforehand, whatever decides the number of subjects: its interval is Wilson's.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.experiment.condition import Condition
from orchestrator.metrics.psr import Rate


@dataclass(frozen=True)
class NonMatedSearch:
    """What one threshold of one matcher made of a photo of somebody who is not enrolled."""

    photo: str  # IDENTITY/FILE
    condition: Condition  # that the photo went through
    target_model: str
    threshold: str
    face_found: bool
    reached: int  # candidates that reach the threshold; 0 where no face was found


@dataclass(frozen=True)
class FalsePositives:
    """FPIR of one matcher under one condition, at one threshold."""

    condition: Condition
    target_model: str
    threshold: str
    rate: Rate  # of all searches; one without a face is no false positive
    faces_found: int


def false_positives(searches: Iterable[NonMatedSearch]) -> list[FalsePositives]:
    """FPIR by condition, target model and threshold, in that order; none where nobody was searched."""
    groups: dict[tuple[Condition, str, str], list[NonMatedSearch]] = {}
    for search in searches:
        groups.setdefault((search.condition, search.target_model, search.threshold), []).append(search)
    return [
        FalsePositives(
            *key,
            rate=Rate(sum(search.reached > 0 for search in group), len(group)),
            faces_found=sum(search.face_found for search in group),
        )
        for key, group in sorted(groups.items(), key=lambda item: item[0])
    ]
