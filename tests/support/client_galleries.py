"""Galleries of clients: as a store holds them, as a plain reading of the rules has them, and over a channel."""

import asyncio
import hashlib
import threading
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import grpc
import numpy as np
import pytest
import torch
from deid.gallery.v1 import gallery_pb2, gallery_pb2_grpc
from numpy.typing import NDArray

from gallery_service.layers import HeldPhoto, Layer
from recognizers.extraction import Face, extract_face
from recognizers.galleries.matchers import Matcher, make_matchers
from rpc.images.decoding import encode_png
from rpc.status import ReceivedError, received
from tests.support.galleries import FEATURES, enroller_of, network_of, photo_of
from tests.support.services import CentreDetector

MATCHER = "tiny"
SIDE = 16


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
    photos: dict[str, frozenset[str]]  # with which it began
    seconds: int = 0
    used: float = 0.0
    enrolled: dict[str, frozenset[str]] = field(default_factory=dict)  # since then
    pictures: set[str] = field(default_factory=set)  # enrolled in it, and in all that it was derived from
    sealed: bool = False

    @property
    def faces(self) -> dict[str, frozenset[str]]:
        """The photos with a face of everybody who has one."""
        kept = {
            identity: frozenset(photo for photo in photos if not photo.startswith("blank"))
            for identity, photos in (self.photos | self.enrolled).items()
        }
        return {identity: photos for identity, photos in kept.items() if photos}


BLANK = encode_png(np.full((SIDE, SIDE, 3), 90, dtype=np.uint8))  # no face is found in it
PEOPLE = ("a", "b", "c")  # in the services' own galleries


def photo_file(person: str, number: int = 0) -> bytes:
    """A photo of somebody, as a file."""
    return encode_png(photo_of(ord(person), number, side=SIDE))


def matchers_of(
    root: Path, people: Iterable[str] = PEOPLE, *, names: Sequence[str] = (MATCHER,), threshold: float | None = 0.9
) -> dict[str, Matcher]:
    """Matchers of a service whose own gallery has two photos of each of some people."""
    for person in people:
        (root / person).mkdir(parents=True)
        for number in range(2):
            (root / person / f"{number}.png").write_bytes(photo_file(person, number))
    networks = {name: network_of(usual_threshold=threshold) for name in names}
    enroller = replace(enroller_of(networks), find_face=partial(extract_face, detector=CentreDetector()))
    return make_matchers(root, enroller)


class CountingDetector(CentreDetector):
    """Counts the photos that it is shown."""

    def __init__(self) -> None:
        self.photos = 0

    def detect(self, photo: NDArray[np.uint8]) -> Sequence[Face]:
        self.photos += 1
        return super().detect(photo)


class HeldDetector(CountingDetector):
    """Lets nobody know what it found until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.let_go = threading.Semaphore(0), threading.Event()

    def detect(self, photo: NDArray[np.uint8]) -> Sequence[Face]:
        found = super().detect(photo)
        self.begun.release()
        assert self.let_go.wait(60)
        return found

    async def has_begun(self) -> None:
        """Waits until it was shown one photo more."""
        assert await asyncio.to_thread(self.begun.acquire, timeout=60)


class GalleryClient:
    """Calls of the gallery service of a service."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.stub = gallery_pb2_grpc.GalleryServiceStub(channel)

    async def create(self, base: str = "", *, seconds: int = 0) -> str:
        return (await self.created(base, seconds=seconds)).gallery

    async def created(self, base: str = "", *, seconds: int = 0) -> gallery_pb2.CreateGalleryResponse:
        return await self.stub.CreateGallery(gallery_pb2.CreateGalleryRequest(base=base, seconds=seconds), timeout=60)

    async def enrol(self, gallery: str, identity: str, *photos: bytes) -> list[int]:
        request = gallery_pb2.EnrolRequest(gallery=gallery, identity=identity, photos=photos)
        return list((await self.stub.Enrol(request, timeout=60)).enrolments)

    async def seal(self, gallery: str) -> gallery_pb2.SealGalleryResponse:
        return await self.stub.SealGallery(gallery_pb2.SealGalleryRequest(gallery=gallery), timeout=60)

    async def delete(self, gallery: str) -> None:
        await self.stub.DeleteGallery(gallery_pb2.DeleteGalleryRequest(gallery=gallery), timeout=60)

    async def sealed(self, people: Mapping[str, Sequence[bytes]], *, base: str = "") -> str:
        """The name of a sealed gallery of some people."""
        gallery = await self.create(base)
        for identity, photos in people.items():
            await self.enrol(gallery, identity, *photos)
        await self.seal(gallery)
        return gallery


async def refusal(call: Awaitable[object]) -> ReceivedError:
    """How a call is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await call
    return received(failure.value)
