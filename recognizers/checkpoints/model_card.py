"""Model cards: what is known of a checkpoint, in a JSON file beside it. The digest in it is binding."""

import json
from pathlib import Path

from recognizers.errors import CheckpointError


def card_path(checkpoint: Path) -> Path:
    """Where a checkpoint's card is: NAME.card.json for NAME.safetensors."""
    return checkpoint.with_suffix(".card.json")


def check_against_card(checkpoint: Path, *, sha256: str) -> None:
    """Makes sure that a checkpoint is the file that its card describes; a checkpoint without a card is free.

    Raises:
        CheckpointError: the card cannot be read, or states another digest.
    """
    card = card_path(checkpoint)
    if not card.exists():
        return
    try:
        content = json.loads(card.read_text(encoding="utf-8"))
        stated = content["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{card}: expected a JSON object with the checkpoint's sha256: {error!r}") from error
    if stated != sha256:
        raise CheckpointError(
            f"{checkpoint}: is not the file that {card.name} describes: expected sha256 {stated}, got {sha256}. "
            "Fetch the file again, or remove the card if the weights are your own"
        )
