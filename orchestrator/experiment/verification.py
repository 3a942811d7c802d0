"""Verification of pairs as a plan states it: the list, its thresholds, and which cloaks are made towards a target."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import InputError
from orchestrator.experiment.grid import network_of
from orchestrator.faces.pairs import PairList

GIVEN = "given"  # the name of a threshold that is not calibrated, or what it begins with
COPIED = "literature"  # in place of thresholds: those that papers copy from each other
COPIED_RATES = ("0.1", "0.01", "0.001")  # FMRs, that these are said to have

# Cosine similarities as tables of papers since AMT-GAN (Hu et al. 2022) have them. They come from pipelines that cut faces
# out in another way, and on what they were calibrated is not published.
COPIED_SCORES = {
    "facenet": ("0.256587", "0.409131", "0.591191"),
    "ir152": ("0.094632", "0.166788", "0.227922"),
    "irse50": ("0.144840", "0.241045", "0.312703"),
    "mobilefacenet": ("0.183635", "0.301611", "0.380878"),
}


@dataclass(frozen=True)
class PairsPlan:
    """A list of pairs, and what is done with it beside the grid."""

    pairs: PairList
    given_thresholds: tuple[str, ...] = ()  # of a started invader, MATCHER:LABEL=NUMBER or MATCHER:NUMBER
    aimed: tuple[str, ...] = ()  # the source models whose methods without a label set craft towards the targets

    def stated(self) -> dict[str, Any]:
        """As a manifest states it."""
        return self.pairs.stated() | {"given_thresholds": list(self.given_thresholds), "aimed": list(self.aimed)}


def copied_name(rate: str) -> str:
    """The name of the threshold that papers copy for an FMR."""
    return f"{GIVEN}:{COPIED}-{rate}"


def spelt_out(thresholds: Iterable[str], target_models: Sequence[str] | None) -> tuple[str, ...]:
    """Given thresholds, with those that papers copy in place of their name: of the target models that have any.

    Raises:
        InputError: no target model has.
    """
    found: list[str] = []
    for each in thresholds:
        if each != COPIED:
            found.append(each)
            continue
        known = [name for name in target_models or () if network_of(name) in COPIED_SCORES]
        if not known:
            raise InputError(
                f"--given-thresholds: {COPIED}: expected --target-models with matchers of {', '.join(COPIED_SCORES)}, of "
                f"whose networks papers state thresholds, got {', '.join(target_models or ()) or 'none'}"
            )
        found += [
            f"{name}:{COPIED}-{rate}={score}"
            for name in known
            for rate, score in zip(COPIED_RATES, COPIED_SCORES[network_of(name)], strict=True)
        ]
    return tuple(found)
