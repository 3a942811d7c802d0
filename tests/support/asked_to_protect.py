"""`orchestrator protect` against our own services in this process, around small recognizers that differ from each other."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from invader_service.ledger import QueryLedger
from orchestrator.services.invader import InvaderClient
from orchestrator.services.protector import ProtectorClient
from recognizers.extraction import Face, extract_face
from recognizers.galleries.enrolment import EmbeddingNetwork
from recognizers.galleries.matchers import Matcher, make_matchers
from rpc.images.decoding import encode_png
from tests.support.galleries import enroller_of, network_of, photo_of
from tests.support.services import CentreDetector, serving_invader, serving_protector
from tests.support.serving_in_a_thread import serving_in_a_thread

SIDE = 64  # pixels
YOU = 20  # the person's number; strangers have lower ones
NAMES = ("four", "one", "three", "two")  # of the recognizers


def network(seed: int) -> EmbeddingNetwork:
    """A tiny network with weights of its own."""
    made = network_of(usual_threshold=0.8)
    (weight,) = (each for each in made.embedder.network.backbone.parameters() if each.dim() == 2)
    with torch.no_grad():
        weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed)) / 10)
    return made


def write_photo(path: Path, person: int, number: int) -> Path:
    """A photo of somebody, as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(lit_photo(person, number)))
    return path


def lit_photo(person: int, number: int) -> NDArray[np.uint8]:
    """A photo of somebody, the brighter the later: in grey, and small, they are not the same."""
    brighter = photo_of(person, number, side=SIDE) + 2.5 * number
    return np.asarray(np.clip(brighter, 0, 255), dtype=np.uint8)


def write_strangers(folder: Path, *, people: int = 6) -> Path:
    """A folder of other people."""
    for person in range(people):
        write_photo(folder / f"stranger_{person}" / "0.png", person, 0)
    return folder


class TwoFacesDetector(CentreDetector):
    """Finds a face in each half of a photo that is twice as wide as high, unless the half is of one colour."""

    def detect(self, photo: NDArray[np.uint8]) -> Sequence[Face]:
        height, width = photo.shape[:2]
        if width < 2 * height:
            return super().detect(photo)
        halves = {
            left: photo[height // 4 : -height // 4, left + height // 4 : left + 3 * height // 4] for left in (0, height)
        }
        return [
            Face(left + height * 0.25, height * 0.25, left + height * 0.75, height * (0.75 - 0.001 * (left > 0)), 0.99)
            for left, half in halves.items()
            if half.std() > 5
        ]


@dataclass
class Asked:
    """What clients were asked to send."""

    searched: list[tuple[str, ...]] = field(default_factory=list)  # the recognizers of each picture, in order
    sources: set[str] = field(default_factory=set)
    addresses: set[str] = field(default_factory=set)  # that a channel was opened to

    @contextmanager
    def recorded(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Records what is asked within."""
        classify, craft = InvaderClient.classify, ProtectorClient.craft

        async def classified(client: InvaderClient, image: bytes, **asked: Any) -> Any:
            self.searched.append(tuple(asked["target_models"]))
            return await classify(client, image, **asked)

        def crafted(client: ProtectorClient, photo: bytes, **asked: Any) -> Any:
            self.sources.update(asked["source_model"].split("+"))
            return craft(client, photo, **asked)

        with monkeypatch.context() as patched:
            patched.setattr(InvaderClient, "classify", classified)
            patched.setattr(ProtectorClient, "craft", crafted)
            yield


@dataclass(frozen=True)
class Services:
    """Where both services are."""

    protector: str
    invader: str

    @property
    def arguments(self) -> tuple[str, ...]:
        """The options that name them."""
        return "--protector", self.protector, "--invader", self.invader


@contextmanager
def running_services(root: Path, *, detector: CentreDetector | None = None) -> Iterator[Services]:
    """Both services, in a thread of their own, with a gallery of somebody else."""
    write_photo(root / "gallery" / "resident" / "0.png", 99, 0)
    with serving_in_a_thread(_both(matchers(root / "gallery", detector), detector)) as services:
        yield services


@asynccontextmanager
async def _both(made: dict[str, Matcher], detector: CentreDetector | None) -> AsyncIterator[Services]:
    async with (
        serving_protector(matchers=made, detector=detector) as protector,
        # A ledger of this thread's own, as SQLite's are.
        serving_invader(
            matchers=made, detector=detector, max_candidates=10, ledger=QueryLedger(None, budget=None)
        ) as invader,
    ):
        yield Services(protector.address, invader.address)


def matchers(gallery: Path, detector: CentreDetector | None = None) -> dict[str, Matcher]:
    """The recognizers, which compare with a folder of people."""
    enroller = enroller_of({name: network(seed) for seed, name in enumerate(NAMES)})
    return make_matchers(gallery, replace(enroller, find_face=partial(extract_face, detector=detector or CentreDetector())))
