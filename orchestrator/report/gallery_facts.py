"""What a page says of a run's matchers: how they match, with what gallery, and what their thresholds were calibrated on."""

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.experiment.model import NOT_STATED
from orchestrator.metrics.psr import Rate
from orchestrator.report.facts import DIGITS, Fact
from orchestrator.report.matchers import matcher_cards
from orchestrator.report.sentences import listed
from orchestrator.report.titles import title


def gallery_facts(manifest: Mapping[str, Any]) -> Iterator[Fact]:
    """How people were divided, and a line for each matcher; nothing for a run without any."""
    split = manifest["protocol"]["gallery"]
    if split is not None:
        searched = [f"{split['non_mated']} identities that are not enrolled are searched"] if split["non_mated"] else []
        calibrated = [f"thresholds are calibrated on {split['impostors']} others"] if split["impostors"] else []
        enrolled = f"of each identity {split['photos']} photos beside the probe"
        if split.get("clean"):
            enrolled += f", of which {split['clean']} never wear a cloak"
        yield Fact("Enrolled", "; ".join([enrolled, *searched, *calibrated]))
    for role, models in (("Source model", "source_models"), ("Target model", "target_models")):
        for name, card in matcher_cards(manifest[models]).items():
            yield Fact(f"{role} {title(name)}", _matcher(card))


def _matcher(card: Mapping[str, Any]) -> str:
    gallery = f"a matcher with a gallery of {card['identities']:,} identities, digest {card['gallery_sha256'][:DIGITS]}"
    how = card.get("matching") or NOT_STATED
    thresholds = [f"{each['name']} ({_calibration(each)})" for each in card.get("thresholds", ())]
    return f"{gallery}; {how}" + (f"; at the thresholds {listed(thresholds)}" if thresholds else "")


def _calibration(threshold: Mapping[str, Any]) -> str:
    """What the threshold was calibrated on, and the rate there: on the very people it was chosen by."""
    if not threshold["comparisons"]:
        return "not calibrated"
    rate = Rate(threshold["false_positives"], threshold["comparisons"])
    return (
        f"reached by {rate.successes:,} of {rate.n:,} in calibration, {rate.percent:.2g} % "
        f"[{rate.interval.low:.2g}–{rate.interval.high:.2g}]"
    )
