"""Photos of clients as a store holds them, and what a plain reading of the rules makes of them."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch

from gallery_service.layers import HeldPhoto, Layer

MATCHER = "tiny"
FEATURES = 6


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def digest(photo: str) -> str:
    return hashlib.sha256(photo.encode()).hexdigest()


def held(photo: str, *, features: int = FEATURES) -> HeldPhoto:
    """A photo by a name of a test's; one whose name begins with "blank" has no face."""
    if photo.startswith("blank"):
        return HeldPhoto(digest(photo), None)
    seed = int(digest(photo)[:8], 16)
    return HeldPhoto(digest(photo), {MATCHER: torch.randn(1, features, generator=torch.Generator().manual_seed(seed))})


def own_layer(people: Mapping[str, Iterable[str]]) -> Layer:
    """A service's own gallery."""
    return Layer({identity: tuple(map(held, photos)) for identity, photos in people.items()}, shared=True)


@dataclass
class PlainGallery:
    """A gallery as copies: who has which photos."""

    client: str
    photos: dict[str, frozenset[str]]
    seconds: int
    used: float
    enrolled: dict[str, frozenset[str]] = field(default_factory=dict)  # since it was created
    sealed: bool = False

    @property
    def faces(self) -> dict[str, frozenset[str]]:
        """The photos with a face of everybody who has one."""
        kept = {
            identity: frozenset(photo for photo in photos if not photo.startswith("blank"))
            for identity, photos in (self.photos | self.enrolled).items()
        }
        return {identity: photos for identity, photos in kept.items() if photos}
