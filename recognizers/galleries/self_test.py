"""A self-test: to a network, two photos of one person are more alike than either and another's, or its card is wrong.

What a network expects (which channel comes first, how levels become numbers, how a face is cut out) cannot be told from its
weights. Where a card says it wrongly, a network still answers, and worse.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn.functional import cosine_similarity

from command_line.errors import OperatorError
from recognizers.errors import GalleryError, shorten
from recognizers.extraction import FindFace
from recognizers.galleries.enrolment import Decode, embed_face
from recognizers.networks.network import Distance
from recognizers.networks.recognizer import Embedder

_PHOTOS = 3  # two of one person, one of another

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SelfTest:
    """How alike three photos are to a network: cosine similarities, or Euclidean distances."""

    distance: Distance
    same: float  # of the two photos of one person
    other: float  # of the more alike of these and the photo of another person

    @property
    def passed(self) -> bool:
        return self.same > self.other if self.distance is Distance.COSINE else self.same < self.other

    @property
    def in_words(self) -> str:
        """What came of it."""
        figures = f"{self.distance} {'similarity' if self.distance is Distance.COSINE else 'distance'}"
        measured = f"{figures} {self.same:.3f} of one person's two photos, {self.other:.3f} to another's"
        if self.passed:
            return f"passed: {measured}"
        return f"FAILED: {measured}; check the channel order, mean, std and alignment that are stated of the network"


def run_self_test(
    embedder: Embedder, photos: Sequence[Path], *, device: torch.device, decode: Decode, find_face: FindFace
) -> SelfTest:
    """Compares three photos, two of one person and one of another.

    Raises:
        OperatorError: one cannot be read, or has no face that is found.
    """
    first, second, third = (_embedding(embedder, photo, device, decode, find_face) for photo in photos)
    distance = embedder.network.distance

    def likeness(one: torch.Tensor, other: torch.Tensor) -> float:
        return float(cosine_similarity(one, other, dim=0) if distance is Distance.COSINE else (one - other).norm())

    others = likeness(first, third), likeness(second, third)
    return SelfTest(distance, likeness(first, second), max(others) if distance is Distance.COSINE else min(others))


def _embedding(embedder: Embedder, photo: Path, device: torch.device, decode: Decode, find_face: FindFace) -> torch.Tensor:
    try:
        decoded = decode(photo.read_bytes())
    except OSError as error:
        raise GalleryError(f"self-test: {photo}: cannot be read: {error.strerror or error}") from error
    except OperatorError as error:
        raise GalleryError(f"self-test: {photo}: {error}") from error
    box = find_face(decoded)
    if box is None:
        raise GalleryError(f"self-test: {photo}: expected a face that MTCNN finds, got none")
    return embed_face(embedder, embedder.extraction.cut_out(decoded, box, side=embedder.input_size), device=device)


def photos_of(card: Path) -> tuple[Path, ...] | None:
    """The three photos that a network's card names for its self-test, if it does; beside the card, unless it says where.

    Raises:
        GalleryError: it names something else.
    """
    try:
        content = json.loads(card.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None  # whoever needs the card says what is wrong with it
    named = content.get("self_test") if isinstance(content, dict) else None
    if named is None:
        return None
    if not isinstance(named, list) or len(named) != _PHOTOS or not all(isinstance(each, str) for each in named):
        raise GalleryError(
            f"{card}: self_test: expected {_PHOTOS} photos, two of one person and one of another, "
            f"got {shorten(json.dumps(named))}"
        )
    return tuple(card.parent / Path(each).expanduser() for each in named)


def warn_of_failure(embedder: Embedder, card: Path, *, device: torch.device, decode: Decode, find_face: FindFace) -> None:
    """Logs a warning where the self-test that a network's card names fails, or cannot be made."""
    try:
        photos = photos_of(card)
        if photos is None:
            return
        result = run_self_test(embedder, photos, device=device, decode=decode, find_face=find_face)
    except GalleryError as error:
        logger.warning("self-test not made", extra={"model": embedder.name, "reason": str(error)})
        return
    if not result.passed:
        logger.warning("self-test failed", extra={"model": embedder.name, "reason": result.in_words})
