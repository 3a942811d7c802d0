"""Clients' galleries as a service uses them: enrolling photos on its workers, and searching."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gallery_service.enrolment import EnrolOrder
from gallery_service.errors import not_found
from gallery_service.heads import HeadCache
from gallery_service.in_flight import PhotosInFlight, PhotosOfCall
from gallery_service.layers import HeldPhoto
from gallery_service.refusals import refusal, refusing
from gallery_service.sealed import Digests, SealedGallery
from gallery_service.store import GalleryStore
from recognizers.networks.gallery_head import GalleryHead
from rpc.errors import invalid_argument, too_slow
from rpc.images.bare_image import BadImageError
from rpc.worker import Worker

Decode = Callable[[bytes], NDArray[np.uint8]]  # a file to an RGB photo (H, W, 3); BadImageError where it is none
EmbedPhoto = Callable[[NDArray[np.uint8]], Mapping[str, Tensor] | None]  # to (F,) by matcher; None: no face


class ClientGalleries:
    """For use on the event loop, but for `head`."""

    def __init__(
        self,
        store: GalleryStore,
        heads: HeadCache,
        *,
        decode: Decode,
        embed: EmbedPhoto,
        worker: Worker,
        max_seconds: float | None = None,
    ) -> None:
        """`max_seconds` is how long an enrolment may take, waiting included; None sets no bound."""
        self.store = store
        self._heads = heads
        self._decode = decode
        self._embed = embed
        self._worker = worker
        self._max_seconds = max_seconds
        self._in_flight = PhotosInFlight()

    async def enrol(self, client: str, order: EnrolOrder) -> Mapping[str, HeldPhoto]:
        """Enrols an identity with its photos; all of them, by digest.

        A gallery that is sealed, deleted or expired meanwhile is so for this call too: nothing is enrolled.

        Raises:
            ServiceError: it cannot be enrolled, a photo is no image, there is too much to do, or it took too long.
        """
        photos = dict(zip(order.digests, order.photos, strict=True))
        with refusing("gallery"):
            held = dict(self.store.held(client, order.gallery, order.identity, photos.keys()))
            missing = {digest: photo for digest, photo in photos.items() if digest not in held}
            with self._in_flight.wanted(client, missing.keys()) as call:
                if missing:
                    held |= await self._embedded(order, missing, call)
                self.store.enrol(client, order.gallery, order.identity, [held[digest] for digest in photos])
        return held

    def search(self, client: str, name: str) -> SealedGallery:
        """The gallery that a request's `gallery` names.

        Raises:
            ServiceError: it is not there, or not sealed.
        """
        with refusing("gallery"):
            return self.store.search(client, name)

    def head(self, gallery: SealedGallery, matcher: str) -> GalleryHead:
        """What a matcher compares with in a gallery; see `HeadCache.head`: for a worker's thread."""
        return self._heads.head(gallery, matcher)

    async def digests(self, gallery: SealedGallery) -> Digests:
        """What tells a gallery from others, computed by a worker.

        Raises:
            ServiceError: there is too much to do.
        """
        return await self._worker.run(lambda: gallery.digests)

    async def _embedded(self, order: EnrolOrder, photos: Mapping[str, bytes], call: PhotosOfCall) -> dict[str, HeldPhoto]:
        first_places: dict[str, int] = {}
        for place, digest in enumerate(order.digests):
            if digest in photos:
                first_places.setdefault(digest, place)

        def embed() -> dict[str, HeldPhoto]:
            return {
                digest: self._photo(digest, photos[digest], field=f"photos[{place}]", call=call)
                for digest, place in first_places.items()
            }

        try:
            async with asyncio.timeout(self._max_seconds):
                return await self._worker.run(embed)
        except TimeoutError:
            assert self._max_seconds is not None
            raise too_slow(self._max_seconds) from None

    def _photo(self, digest: str, encoded: bytes, *, field: str, call: PhotosOfCall) -> HeldPhoto:
        try:
            return call.photo(digest, partial(self._made, digest, encoded))
        except BadImageError as error:
            raise invalid_argument(field, expected=error.expected, actual=error.actual) from error

    def _made(self, digest: str, encoded: bytes) -> HeldPhoto:
        embedded = self._embed(self._decode(encoded))
        if embedded is None:
            return HeldPhoto(digest, None)
        return HeldPhoto(digest, {matcher: embedding.unsqueeze(0) for matcher, embedding in embedded.items()})


def searched(galleries: ClientGalleries | None, client: str, name: str) -> SealedGallery | None:
    """The gallery that a request's `gallery` names; None where it names none, so that the service's own is meant.

    Raises:
        ServiceError: it is not there, or not sealed. Where nothing is enrolled there is none.
    """
    if not name:
        return None
    if galleries is None:
        raise refusal(not_found(), field="gallery")
    return galleries.search(client, name)
