"""Galleries at a service: made, made again where they are forgotten, and deleted whatever happens."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
import numpy as np
import pytest
from deid.gallery.v1 import gallery_pb2_grpc

from orchestrator.errors import CallError, GalleryGoneError, ThrottledError, UnreachableServiceError
from orchestrator.services.connection import Connection
from orchestrator.services.galleries import EMPTY_SHA256, NOBODY, GalleryClient, LastingGallery, SealedGallery
from rpc.images.decoding import encode_png
from tests.support.enrolling import GREY, OWN, FakeGalleries, digest
from tests.support.fakes import Fault

PICTURES = [encode_png(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)) for seed in range(3)]
FIRST, SECOND, THIRD = PICTURES
THROTTLED = Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many", "RATE_LIMITED", retry_after_ms=1)


@dataclass
class Served:
    galleries: FakeGalleries
    client: GalleryClient
    server: grpc.aio.Server


@asynccontextmanager
async def serving(galleries: FakeGalleries | None = None) -> AsyncIterator[Served]:
    fake = galleries or FakeGalleries({"alice": ("1" * 64,), "bob": ("2" * 64,)})
    server = grpc.aio.server()
    gallery_pb2_grpc.add_GalleryServiceServicer_to_server(fake, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    connection = Connection("invader", f"127.0.0.1:{port}", None)
    try:
        yield Served(fake, GalleryClient(connection), server)
    finally:
        await connection.close()
        await server.stop(None)


async def test_pictures_are_enrolled_in_place_of_the_base_s_and_the_gallery_is_there_while_the_context_lasts() -> None:
    async with serving() as served:
        async with served.client.gallery({"alice": [FIRST, SECOND], "carol": [THIRD]}) as sealed:
            (gallery,) = served.galleries.held.values()
            assert (gallery.name, gallery.base, gallery.sha256) == (sealed.name, OWN, sealed.sha256)
            assert gallery.photos == {
                "alice": (digest(FIRST), digest(SECOND)),
                "bob": ("2" * 64,),
                "carol": (digest(THIRD),),
            }
            assert gallery.sealed
            assert sealed.not_enrolled == frozenset()
        assert served.galleries.held == {}


async def test_a_gallery_can_begin_with_nobody_and_be_the_base_of_another() -> None:
    async with (
        serving() as served,
        LastingGallery(served.client, {"carol": [THIRD]}, beginning=NOBODY) as base,
        LastingGallery(served.client, {"dave": [FIRST]}, base=base) as derived,
    ):
        await derived.use(_name)
        of_base, of_derived = served.galleries.created
        assert (of_base.base, set(of_base.photos)) == (NOBODY, {"carol"})
        assert (of_derived.base, set(of_derived.photos)) == (of_base.name, {"carol", "dave"})


async def test_who_has_no_picture_with_a_face_is_not_enrolled() -> None:
    async with serving() as served, served.client.gallery({"alice": [GREY, GREY], "bob": [GREY, FIRST]}) as sealed:
        assert sealed.not_enrolled == {"alice"}


async def test_a_gallery_that_holds_nobody_has_the_digest_of_nothing() -> None:
    alone = FakeGalleries({"alice": ("1" * 64,)})
    async with serving(alone) as served, served.client.gallery({"alice": [GREY]}) as sealed:
        assert (sealed.not_enrolled, sealed.sha256) == (frozenset({"alice"}), EMPTY_SHA256)
    assert digest(b"") == EMPTY_SHA256


@pytest.mark.parametrize("call", ["Enrol", "SealGallery"])
async def test_a_gallery_that_cannot_be_made_is_deleted(call: str) -> None:
    async with serving() as served:
        served.galleries.fault = lambda name, time: Fault() if name == call else None
        with pytest.raises(CallError, match="INTERNAL"):
            async with served.client.gallery({"alice": [FIRST]}):
                pytest.fail("it is not there")
        assert [gallery.deletions for gallery in served.galleries.created] == [1]


@pytest.mark.parametrize("call", ["CreateGallery", "Enrol", "SealGallery"])
async def test_it_is_deleted_although_its_task_is_cancelled_during_a_call_and_again_during_the_deletion(call: str) -> None:
    reached = {name: asyncio.Event() for name in (call, "DeleteGallery")}
    let_go = {name: asyncio.Event() for name in reached}

    async def wait(name: str) -> None:
        if name in reached:
            reached[name].set()
            await let_go[name].wait()

    async with serving() as served:
        served.galleries.before = wait

        async def make() -> None:
            async with served.client.gallery({"alice": [FIRST]}):
                pytest.fail("it is not there")

        task = asyncio.create_task(make())
        await reached[call].wait()
        task.cancel()
        let_go[call].set()
        await reached["DeleteGallery"].wait()
        task.cancel()
        let_go["DeleteGallery"].set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [gallery.deletions for gallery in served.galleries.created] == [1]
        assert served.galleries.held == {}


async def test_a_service_that_is_gone_by_the_end_is_no_error() -> None:
    async with serving() as served, served.client.gallery({"alice": [FIRST]}):
        await served.server.stop(None)


async def test_a_lasting_gallery_is_made_when_it_is_first_used_and_stays_over_failures() -> None:
    async with serving() as served:
        async with LastingGallery(served.client, {"alice": [FIRST]}) as gallery:
            assert served.galleries.created == []

            async def refuse(sealed: SealedGallery) -> None:
                raise ThrottledError(sealed.name, retry_after_ms=1)

            with pytest.raises(ThrottledError):
                await gallery.use(refuse)
            assert await gallery.use(_name) == "gallery 0"
        assert len(served.galleries.created) == 1
        assert served.galleries.held == {}


async def test_a_lasting_gallery_that_is_not_used_is_not_made() -> None:
    async with serving() as served:
        async with LastingGallery(served.client, {"alice": [FIRST]}):
            pass
        assert served.galleries.calls == {}


async def test_a_lasting_gallery_is_made_once_more_with_its_base_after_the_service_has_forgotten_it() -> None:
    async with serving() as served:
        everybody = LastingGallery(served.client, {"bob": [SECOND]})
        async with everybody as base, LastingGallery(served.client, {"alice": [FIRST]}, base=base) as gallery:
            assert await gallery.use(_name) == "gallery 1"
            served.galleries.forget()

            async def gone(sealed: SealedGallery) -> None:
                raise GalleryGoneError(sealed.name)

            with pytest.raises(GalleryGoneError):
                await gallery.use(gone)
            assert await gallery.use(_name) == "gallery 3"
            assert [each.base for each in served.galleries.created] == [OWN, "gallery 0", OWN, "gallery 2"]
            assert served.galleries.held["gallery 3"].photos == {"alice": (digest(FIRST),), "bob": (digest(SECOND),)}
        assert served.galleries.held == {}


async def test_a_base_that_is_forgotten_before_another_is_derived_from_it_is_made_once_more() -> None:
    async with serving() as served, LastingGallery(served.client, {"bob": [SECOND]}) as base:
        async with LastingGallery(served.client, {"alice": [FIRST]}, base=base) as first:
            await first.use(_name)
        served.galleries.forget()
        async with LastingGallery(served.client, {"alice": [THIRD]}, base=base) as second:
            with pytest.raises(GalleryGoneError):
                await second.use(_name)
            assert await second.use(_name) == "gallery 3"


async def test_what_a_service_says_is_an_error_of_this_package() -> None:
    async with serving() as served:
        served.galleries.fault = lambda name, time: THROTTLED
        with pytest.raises(ThrottledError):
            await LastingGallery(served.client, {"alice": [FIRST]}).use(_name)
        await served.server.stop(None)
        with pytest.raises(UnreachableServiceError):
            await LastingGallery(served.client, {"alice": [FIRST]}).use(_name)


async def _name(sealed: SealedGallery) -> str:
    return sealed.name
