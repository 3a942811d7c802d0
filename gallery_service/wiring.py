"""Wires clients' galleries into a service that has matchers."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from deid.gallery.v1 import gallery_pb2, gallery_pb2_grpc

from gallery_service.galleries import ClientGalleries
from gallery_service.heads import HeadCache
from gallery_service.layers import own_gallery
from gallery_service.servicer import Audited, GalleryServicer, not_audited
from gallery_service.store import GalleryLimits, GalleryStore
from recognizers.extraction import FindFace
from recognizers.galleries.enrolment import embed_photo
from recognizers.galleries.matchers import Matcher
from rpc.images.decoding import decoded_image
from rpc.images.limits import ImageLimits
from rpc.server import Server
from rpc.settings import ServiceSettings
from rpc.worker import Worker

GRPC_SERVICE: str = gallery_pb2.DESCRIPTOR.services_by_name["GalleryService"].full_name
_LOOK_EVERY_SECONDS = 10.0  # for galleries that have expired, where nobody asks for one


def client_galleries(
    matchers: Mapping[str, Matcher],
    *,
    limits: GalleryLimits,
    images: ImageLimits,
    find_face: FindFace,
    worker: Worker,
    max_seconds: float | None = None,
) -> ClientGalleries | None:
    """The galleries that clients may enrol; None where a service has nothing to compare with them, or may have none.

    Args:
        matchers: those of the service.
        limits: what clients may have.
        images: what a photo may cost.
        find_face: finds the face in a photo, as for the service's own gallery.
        worker: computes.
        max_seconds: for an enrolment, waiting included; None sets no bound.
    """
    if not matchers or not limits.galleries:
        return None
    heads = HeadCache(matchers)
    store = GalleryStore(
        own_gallery({name: each.head.embedded for name, each in matchers.items()}), limits=limits, on_forgotten=heads.forget
    )
    return ClientGalleries(
        store,
        heads,
        decode=partial(decoded_image, limits=images),
        embed=partial(embed_photo, find_face=find_face, embedders=matchers),
        worker=worker,
        max_seconds=max_seconds,
    )


def limits_of(settings: ServiceSettings) -> GalleryLimits:
    """What the settings allow clients."""
    return GalleryLimits(
        galleries=settings.client_galleries,
        identities=settings.gallery_identities,
        pictures=settings.gallery_pictures,
        seconds=settings.gallery_seconds,
    )


@contextmanager
def serving_galleries(
    galleries: ClientGalleries | None, server: Server, *, audited: Audited = not_audited
) -> Iterator[None]:
    """Offers the galleries beside what a server offers, if there are any, and forgets those that expire meanwhile."""
    if galleries is None:
        yield
        return
    store = galleries.store
    server.metrics.gauge("deid_galleries", "Galleries of clients that are held.", lambda: store.galleries)
    server.metrics.counters(
        "deid_enrolled_pictures",
        "Pictures that clients enrolled.",
        "face",
        lambda: {"found": store.enrolled, "missed": store.without_face},
    )
    gallery_pb2_grpc.add_GalleryServiceServicer_to_server(GalleryServicer(galleries, audited=audited), server.grpc)
    server.other_services.append(GRPC_SERVICE)
    with _repeated(store.forget_expired, every=_LOOK_EVERY_SECONDS):
        yield


@contextmanager
def _repeated(do: Callable[[], None], *, every: float) -> Iterator[None]:
    """Does something now and then, on the running event loop."""

    async def turns() -> None:
        while True:
            await asyncio.sleep(every)
            do()

    task = asyncio.get_running_loop().create_task(turns())
    try:
        yield
    finally:
        task.cancel()
