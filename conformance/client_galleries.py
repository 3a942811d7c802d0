"""Galleries that checks open at a service that enrols, and delete again."""

import hashlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from deid.gallery.v1 import gallery_pb2

from conformance.check import Failed, NotApplicable, ServiceStopped
from conformance.refusals import BadRequest, Refusal, Refused
from conformance.service import Service
from rpc.errors import GALLERY_LIMIT

SCHEMA = gallery_pb2.DESCRIPTOR.services_by_name["GalleryService"]
ENROLLED, NO_FACE = gallery_pb2.ENROLMENT_ENROLLED, gallery_pb2.ENROLMENT_NO_FACE
DEFAULT = "default"
# In bytewise order; by UTF-16, as some languages compare strings, the last two change places.
ONE, TWO, THREE = "Zoë", "\uff5aoe", "\U0001d419oe"

People = Mapping[str, Sequence[bytes]]  # photos by identity


class ClientGalleries:
    """Calls to a service's GalleryService."""

    def __init__(self, service: Service) -> None:
        """Needs a service that enrols, and two photos with faces.

        Raises:
            NotApplicable: the service enrols nothing, or there is one photo only.
        """
        if not service.listed.enrols:
            raise NotApplicable("the service enrols nothing from clients")
        if not service.matchers:
            raise NotApplicable("there is no matcher")
        photos = list(dict.fromkeys(service.face_photos))
        if len(photos) < 2:
            raise NotApplicable("there is only one photo to enrol: --faces has no other in which the service finds a face")
        self.photos = photos[0], photos[1]
        self._service = service
        self._client = service.client.of_another_service(SCHEMA)

    @asynccontextmanager
    async def opened(self, **fields: Any) -> AsyncIterator[str]:
        """A gallery that is new, by its name."""
        name = (await self.create(**fields)).gallery
        try:
            yield name
        finally:
            with suppress(Failed, ServiceStopped):  # a check of its own is about deletion
                await self.delete(name)

    @asynccontextmanager
    async def sealed(self, people: People, *, base: str = "") -> AsyncIterator[str]:
        """A sealed gallery in which people are enrolled, by its name."""
        async with self.opened(base=base) as gallery:
            for identity, photos in people.items():
                await self.enrol(gallery, identity, *photos)
            await self.seal(gallery)
            yield gallery

    async def create(self, **fields: Any) -> gallery_pb2.CreateGalleryResponse:
        """Begins a gallery, which `delete` must end.

        Raises:
            Refused: it was refused.
            NotApplicable: the client's bounds do not allow it.
        """
        answer: gallery_pb2.CreateGalleryResponse = await self._ask("CreateGallery", **fields)
        self._service.opened_galleries.append(answer.gallery)
        return answer

    async def enrol(self, gallery: str, identity: str, *photos: bytes) -> list[int]:
        """What became of photos.

        Raises:
            Refused: it was refused.
            NotApplicable: the client's bounds do not allow it.
        """
        return list((await self._ask("Enrol", gallery=gallery, identity=identity, photos=photos)).enrolments)

    async def seal(self, gallery: str) -> gallery_pb2.SealGalleryResponse:
        """What a gallery holds, which does not change from then on.

        Raises:
            Refused: it was refused.
        """
        sealed: gallery_pb2.SealGalleryResponse = await self._ask("SealGallery", gallery=gallery)
        return sealed

    async def delete(self, gallery: str) -> None:
        """Forgets a gallery.

        Raises:
            Refused: it was refused.
        """
        await self._ask("DeleteGallery", gallery=gallery)

    async def problems(self, method: str, bad: BadRequest) -> list[str]:
        """What is wrong with the refusal of a bad request of GalleryService; see `refusal`."""
        return list(bad.problems(await self.refusal(method, **bad.changes)))

    async def refusal(self, method: str, **fields: Any) -> Refusal | None:
        """How a call of GalleryService is refused; None if it is answered, and then no gallery is left of it.

        Raises:
            NotApplicable: the client's bounds do not allow it.
        """
        try:
            answer = await self._ask(method, **fields)
        except Refused as refused:
            return refused.refusal
        if isinstance(answer, gallery_pb2.CreateGalleryResponse):
            await self.delete(answer.gallery)
        return None

    async def _ask(self, method: str, **fields: Any) -> Any:
        try:
            return await self._client.ask(method, **fields)
        except Refused as refused:
            if refused.refusal.reason == GALLERY_LIMIT:
                raise NotApplicable(f"the galleries of the check are beyond the service's bounds: {refused}") from refused
            raise


def digest_problems(sealed: gallery_pb2.SealGalleryResponse, people: People) -> Iterator[str]:
    """What is wrong with what SealGallery states of a gallery in which people are enrolled."""
    label_set, lines = sorted(people, key=str.encode), sorted(set(_lines(people)))
    if sealed.identities != len(people):
        yield f"expected {len(people)} identities, got {sealed.identities}"
    if sealed.label_set_sha256 != sha256("\n".join(label_set).encode()):
        yield f"expected label_set_sha256 of {', '.join(label_set)}, got another: {sealed.label_set_sha256[:80]!r}"
    if sealed.gallery_sha256 != sha256(b"\n".join(lines)):
        yield f"expected gallery_sha256 of the {len(lines)} photos enrolled, got another: {sealed.gallery_sha256[:80]!r}"


def _lines(people: People) -> Iterator[bytes]:
    for identity, photos in people.items():
        yield from (f"{identity}\t{sha256(photo)}".encode() for photo in photos)


def sha256(content: bytes) -> str:
    """In lower-case hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
