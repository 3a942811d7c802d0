"""What a page says of a run's list of pairs."""

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.experiment.grid import ELSEWHERE
from orchestrator.report.facts import DIGITS, Fact
from orchestrator.report.sentences import listed
from orchestrator.report.titles import title


def pairs_facts(manifest: Mapping[str, Any]) -> Iterator[Fact]:
    """The list, its thresholds, and which cloaks are made towards targets; nothing for other runs."""
    pairs = manifest["protocol"].get("pairs")
    if pairs is None:
        return
    has_targets = any("target" in each for each in pairs["pairs"])
    targets = "; each with a picture of somebody that it is to pass for" if has_targets else ""
    yield Fact(
        "Pairs",
        f"{len(pairs['pairs'])} people, of each a probe and a reference{targets}. SHA-256 of the list "
        f"{pairs['list_sha256'][:DIGITS]}…; manifest.json has that of every picture",
    )
    yield Fact("Compared", "each probe with one identity: galleries of one person, in which somebody is accepted or not")
    if pairs["impostors"]:
        yield Fact("Impostors", f"{len(pairs['impostors'])} pictures of people in no pair, for calibrating thresholds")
    if pairs["given_thresholds"]:
        yield Fact("Given thresholds", ", ".join(pairs["given_thresholds"]))
    protocol = manifest["protocol"]
    if has_targets and (protocol["replay_of"] or ELSEWHERE in protocol["grid"]["source_models"]):
        yield Fact("Made towards targets", "not known here: as far as whoever made the cloaks did so")
    elif has_targets:
        aimed = listed(list(map(title, pairs["aimed"])))
        yield Fact(
            "Made towards targets",
            f"cloaks of {aimed}, by methods that need no label set: the target alone is in the gallery that they are "
            f"crafted with"
            if aimed
            else "none",
        )
