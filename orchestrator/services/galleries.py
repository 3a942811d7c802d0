"""Galleries of this client's own at a service: made, searched, and deleted again."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import grpc
from deid.gallery.v1 import gallery_pb2, gallery_pb2_grpc

from orchestrator.errors import UnusableServiceError
from orchestrator.services.connection import Connection

OWN = "default"  # the service's own gallery, as the base of others
KEPT_SECONDS = 600  # without use: what an orchestrator that was killed left behind is forgotten then
ENROL_SECONDS = 300.0
CALL_SECONDS = 30.0  # of the others
DELETE_SECONDS = 5.0


@dataclass(frozen=True)
class SealedGallery:
    """A gallery that can be searched."""

    name: str
    sha256: str  # the digest of its identities and pictures, as the protocol defines it
    not_enrolled: frozenset[str]  # of the identities that were to be enrolled, those of whom no picture shows a face


class GalleryClient:
    """Makes galleries at the service of a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = gallery_pb2_grpc.GalleryServiceStub(connection.channel)

    @asynccontextmanager
    async def gallery(self, enrolled: Mapping[str, Sequence[bytes]], *, base: str = OWN) -> AsyncIterator[SealedGallery]:
        """A gallery that is there while the context lasts: the base with these identities' pictures in place of its own.

        Args:
            enrolled: by identity, in Unicode's normal form C, all of its pictures; none twice.
            base: the service's own gallery, or one of this client's.

        Raises:
            GalleryGoneError: the service has forgotten a gallery; it is to be made again.
            CallError: a call failed.
            UnusableServiceError: the service does not answer, or not to what was asked.
        """
        answer = self._connection.answer
        create = gallery_pb2.CreateGalleryRequest(base=base, seconds=KEPT_SECONDS)
        name = (await answer(self._stub.CreateGallery(create, timeout=CALL_SECONDS))).gallery
        try:
            without = [
                identity for identity, pictures in enrolled.items() if not await self._enrol(name, identity, pictures)
            ]
            seal = gallery_pb2.SealGalleryRequest(gallery=name)
            sealed = await answer(self._stub.SealGallery(seal, timeout=CALL_SECONDS))
            yield SealedGallery(name, sealed.gallery_sha256, frozenset(without))
        finally:
            with suppress(grpc.aio.AioRpcError):  # it is forgotten in any case, only later
                delete = gallery_pb2.DeleteGalleryRequest(gallery=name)
                await self._stub.DeleteGallery(delete, timeout=DELETE_SECONDS)

    async def _enrol(self, gallery: str, identity: str, pictures: Sequence[bytes]) -> bool:
        """Whether a face was found in any of the pictures."""
        request = gallery_pb2.EnrolRequest(gallery=gallery, identity=identity, photos=pictures)
        enrolments = (await self._connection.answer(self._stub.Enrol(request, timeout=ENROL_SECONDS))).enrolments
        known = {gallery_pb2.ENROLMENT_ENROLLED, gallery_pb2.ENROLMENT_NO_FACE}
        if len(enrolments) != len(pictures) or not known.issuperset(enrolments):
            raise UnusableServiceError(
                f"{self._connection.name}: expected of {len(pictures)} pictures of {identity} whether each is enrolled, got "
                f"{len(enrolments)} answers: {', '.join(map(str, enrolments))}"
            )
        return gallery_pb2.ENROLMENT_ENROLLED in enrolments
