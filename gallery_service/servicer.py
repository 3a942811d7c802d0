"""Translates between the wire and the galleries."""

import unicodedata
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from deid.gallery.v1 import gallery_pb2, gallery_pb2_grpc

from gallery_service.enrolment import EnrolOrder
from gallery_service.galleries import ClientGalleries
from gallery_service.refusals import refusing
from rpc.errors import invalid_argument, quoted
from rpc.interceptor import Context
from rpc.tls import client_name

MAX_IDENTITY = 256  # characters
NO_FACE, ENROLLED = "no face", "enrolled"  # how an enrolment ended

Audited = Callable[[str, EnrolOrder], AbstractContextManager[Callable[[str], None]]]


@contextmanager
def not_audited(client: str, order: EnrolOrder) -> Iterator[Callable[[str], None]]:  # noqa: ARG001
    """Keeps nothing of an enrolment."""
    yield lambda _: None


class GalleryServicer(gallery_pb2_grpc.GalleryServiceServicer):
    """deid.gallery.v1.GalleryService."""

    def __init__(self, galleries: ClientGalleries, *, audited: Audited = not_audited) -> None:
        """`audited` gives what an enrolment, of a client, is told how it ended; it is entered before anything is checked."""
        self._galleries = galleries
        self._audited = audited

    async def CreateGallery(  # noqa: N802
        self,
        request: gallery_pb2.CreateGalleryRequest,
        context: Context,
    ) -> gallery_pb2.CreateGalleryResponse:
        if request.seconds < 0:
            raise invalid_argument("seconds", expected="0 or more seconds", actual=str(request.seconds))
        with refusing("base"):
            name, seconds = self._galleries.store.create(client_name(context), base=request.base, seconds=request.seconds)
        return gallery_pb2.CreateGalleryResponse(gallery=name, seconds=seconds)

    async def Enrol(  # noqa: N802
        self,
        request: gallery_pb2.EnrolRequest,
        context: Context,
    ) -> gallery_pb2.EnrolResponse:
        client, order = client_name(context), EnrolOrder(request.gallery, request.identity, tuple(request.photos))
        with self._audited(client, order) as write_line:
            _check(order)
            photos = await self._galleries.enrol(client, order)
            write_line(ENROLLED if any(photo.has_face for photo in photos.values()) else NO_FACE)
        return gallery_pb2.EnrolResponse(
            enrolments=[
                gallery_pb2.ENROLMENT_ENROLLED if photos[digest].has_face else gallery_pb2.ENROLMENT_NO_FACE
                for digest in order.digests
            ]
        )

    async def SealGallery(  # noqa: N802
        self,
        request: gallery_pb2.SealGalleryRequest,
        context: Context,
    ) -> gallery_pb2.SealGalleryResponse:
        with refusing("gallery"):
            sealed = self._galleries.store.seal(client_name(context), request.gallery)
        digests = await self._galleries.digests(sealed)
        return gallery_pb2.SealGalleryResponse(
            identities=sealed.identities,
            label_set_sha256=digests.label_set_sha256,
            gallery_sha256=digests.gallery_sha256,
        )

    async def DeleteGallery(  # noqa: N802
        self,
        request: gallery_pb2.DeleteGalleryRequest,
        context: Context,
    ) -> gallery_pb2.DeleteGalleryResponse:
        self._galleries.store.delete(client_name(context), request.gallery)
        return gallery_pb2.DeleteGalleryResponse()


def _check(order: EnrolOrder) -> None:
    if not order.photos:
        raise invalid_argument("photos", expected="at least one photo", actual="none")
    if not order.identity:
        raise invalid_argument("identity", expected="the name of an identity", actual="none")
    if len(order.identity) > MAX_IDENTITY:
        raise invalid_argument(
            "identity", expected=f"at most {MAX_IDENTITY} characters", actual=f"{len(order.identity)} characters"
        )
    if not order.identity.isprintable():
        raise invalid_argument("identity", expected="printable characters", actual=quoted(order.identity))
    if not unicodedata.is_normalized("NFC", order.identity):
        raise invalid_argument("identity", expected="Unicode's normal form C", actual=ascii(order.identity)[:MAX_IDENTITY])
