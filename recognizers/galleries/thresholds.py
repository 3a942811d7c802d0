"""Thresholds of a matcher: calibrated on people who are not enrolled, or given.

A candidate reaches a threshold where its logit, which orders as its score does, is the threshold's or more.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

import torch
from torch import Tensor

from recognizers.errors import GalleryError
from recognizers.networks.gallery_head import GalleryHead

GIVEN = "given"  # the name of one that is not calibrated; several are told apart by what follows a colon


class ErrorRate(StrEnum):
    """What a threshold is calibrated for (ISO/IEC 19795-1)."""

    FPIR = "fpir"  # of searches of people who are not enrolled, the share in which anybody reaches it
    FMR = "fmr"  # of their comparisons with one enrolled identity each, the share that reaches it


@dataclass(frozen=True)
class Target:
    """A rate that a threshold is to keep to."""

    of: ErrorRate
    rate: str  # a decimal in its shortest form, above 0 and below 1

    @property
    def name(self) -> str:
        return f"{self.of}:{self.rate}"

    @classmethod
    def parse(cls, text: str) -> "Target":
        """From "fpir:0.01" or "fmr:0.001".

        Raises:
            GalleryError: it is neither.
        """
        of, _, rate = text.partition(":")
        try:
            possible = (
                of in set(ErrorRate) and rate.replace(".", "", 1).isdecimal() and rate.isascii() and 0 < float(rate) < 1
            )
        except ValueError:
            possible = False
        if not possible:
            raise GalleryError(
                f"expected fpir:RATE or fmr:RATE with a rate above 0 and below 1, such as fpir:0.01, got {text}"
            )
        return cls(ErrorRate(of), f"{Decimal(rate).normalize():f}")


@dataclass(frozen=True)
class Threshold:
    """A logit from which on a candidate counts as the person in the picture."""

    name: str
    logit: float
    comparisons: int = 0  # that it was calibrated on; 0 of one that was given
    false_positives: int = 0  # of these, how many reach it


def given(score: float, head: GalleryHead, *, name: str = GIVEN) -> Threshold:
    """The threshold of a similarity, for cosine networks, or a distance."""
    return Threshold(name, head.logit_of(score))


def calibrated(target: Target, logits: Tensor) -> Threshold:
    """The least threshold at which, of these searches, no larger share is a false positive.

    Args:
        target: the rate.
        logits: (searches, C) of people who are not enrolled.
    """
    scores = logits.amax(dim=1) if target.of is ErrorRate.FPIR else logits.flatten()
    descending = scores.float().sort(descending=True).values
    allowed = math.floor(float(target.rate) * len(descending))
    limit = descending[allowed]  # which is one too many
    logit = float(torch.nextafter(limit, torch.tensor(math.inf)))
    return Threshold(target.name, logit, len(descending), int((scores >= logit).sum()))


def reached(logits: Tensor, thresholds: Sequence[Threshold]) -> dict[str, int]:
    """How many of ranked candidates' logits (k,) reach each threshold."""
    return {threshold.name: int((logits >= threshold.logit).sum()) for threshold in thresholds}
