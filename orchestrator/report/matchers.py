"""Which models of a run are matchers: those that compare faces with a gallery."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.experiment.model import ModelKind


@dataclass(frozen=True)
class Matchers:
    """The matchers of a run."""

    source_models: frozenset[str] = frozenset()
    galleries: Mapping[str, int] = field(default_factory=dict)  # by target model, how many identities are enrolled

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> "Matchers":
        """Those that a manifest has the cards of."""
        target_models = matcher_cards(manifest["target_models"])
        return cls(
            frozenset(matcher_cards(manifest["source_models"])),
            {name: int(card["identities"]) for name, card in target_models.items()},
        )


NO_MATCHERS = Matchers()


def matcher_cards(cards: Mapping[str, Any]) -> dict[str, Any]:
    """Of a manifest's cards by model those of matchers, members of ensembles among them."""
    found: dict[str, Any] = {}
    for name, card in cards.items():
        found |= card.get("members", {name: card})
    return {name: card for name, card in found.items() if card.get("kind") == ModelKind.MATCHER}
