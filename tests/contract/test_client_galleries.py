"""Galleries that clients enrol, over real channels: what is the same in the protector and in the invader."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import grpc
import pytest
from deid.gallery.v1 import gallery_pb2
from deid.invader.v1 import invader_pb2, invader_pb2_grpc
from deid.protector.v1 import protector_pb2, protector_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gallery_service.store import DEFAULT, GalleryLimits
from gallery_service.wiring import GRPC_SERVICE
from rpc.certificates import Authority
from rpc.channel import open_channel
from rpc.models_digest import received_models_digest
from rpc.status import ReceivedError
from tests.support.certificates import material
from tests.support.client_galleries import (
    BLANK,
    CountingDetector,
    GalleryClient,
    HeldDetector,
    matchers_of,
    photo_file,
    refusal,
)
from tests.support.services import LIMITS, Serving, serving_invader, serving_protector

INVALID, MISSING = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
PRECONDITION, EXHAUSTED = grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.RESOURCE_EXHAUSTED
ENROLLED, NO_FACE = gallery_pb2.ENROLMENT_ENROLLED, gallery_pb2.ENROLMENT_NO_FACE

Open = Callable[..., AbstractAsyncContextManager[Serving]]


@pytest.fixture(params=[serving_protector, serving_invader], ids=["protector", "invader"])
def serving(request: pytest.FixtureRequest) -> Open:
    opener: Open = request.param
    return opener


def sha256(photo: bytes) -> str:
    return hashlib.sha256(photo).hexdigest()


BAD: dict[str, tuple[Callable[[GalleryClient, str], Awaitable[object]], ReceivedError]] = {
    "no photos": (
        lambda client, gallery: client.enrol(gallery, "x"),
        ReceivedError(INVALID, "INVALID_ARGUMENT", "photos: expected at least one photo, got none"),
    ),
    "a photo that is no image": (
        lambda client, gallery: client.enrol(gallery, "x", photo_file("x"), photo_file("x"), b"no image"),
        ReceivedError(INVALID, "INVALID_ARGUMENT", "photos[2]: expected a JPEG or PNG image, got 8 other bytes"),
    ),
    "a photo of too many bytes": (
        lambda client, gallery: client.enrol(gallery, "x", bytes(LIMITS.max_bytes + 1)),
        ReceivedError(INVALID, "INVALID_ARGUMENT", "photos[0]: expected at most 200000 bytes, got 200001 bytes"),
    ),
    "no identity": (
        lambda client, gallery: client.enrol(gallery, "", photo_file("x")),
        ReceivedError(INVALID, "INVALID_ARGUMENT", "identity: expected the name of an identity, got none"),
    ),
    "an identity of two lines": (
        lambda client, gallery: client.enrol(gallery, "x\ny", photo_file("x")),
        ReceivedError(INVALID, "INVALID_ARGUMENT", r"identity: expected printable characters, got 'x\ny'"),
    ),
    "an identity in another normal form": (
        lambda client, gallery: client.enrol(gallery, "e\u0301", photo_file("x")),
        ReceivedError(INVALID, "INVALID_ARGUMENT", r"identity: expected Unicode's normal form C, got 'e\u0301'"),
    ),
    "a long identity": (
        lambda client, gallery: client.enrol(gallery, 257 * "x", photo_file("x")),
        ReceivedError(INVALID, "INVALID_ARGUMENT", "identity: expected at most 256 characters, got 257 characters"),
    ),
    "a negative time": (
        lambda client, gallery: client.create(seconds=-1),
        ReceivedError(INVALID, "INVALID_ARGUMENT", "seconds: expected 0 or more seconds, got -1"),
    ),
    "a gallery that holds nobody": (
        lambda client, gallery: client.seal(gallery),
        ReceivedError(
            PRECONDITION,
            "GALLERY_EMPTY",
            "gallery: expected a gallery with an identity that has a face (Enrol enrols them), got one that holds nobody",
        ),
    ),
    "a base that is not sealed": (
        lambda client, gallery: client.create(gallery),
        ReceivedError(
            PRECONDITION,
            "GALLERY_NOT_SEALED",
            "base: expected a sealed gallery (SealGallery seals it), got one that is not sealed",
        ),
    ),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_request_is_refused_by_field_and_changes_nothing(tmp_path: Path, serving: Open, case: str) -> None:
    call, expected = BAD[case]
    async with serving(matchers=matchers_of(tmp_path)) as service:
        client = GalleryClient(service.channel)
        gallery = await client.create()
        told = await refusal(call(client, gallery))
        assert await client.enrol(gallery, "x", photo_file("y")) == [ENROLLED]
        assert (await client.seal(gallery)).identities == 1
    assert (told.code, told.reason, told.message) == (expected.code, expected.reason, expected.message)
    assert told.fields == {expected.message.partition(":")[0]}


async def test_a_photo_has_its_outcome_in_its_place_and_equal_ones_count_once(tmp_path: Path, serving: Open) -> None:
    one, other = photo_file("x"), photo_file("x", 1)
    detector = CountingDetector()
    async with serving(matchers=matchers_of(tmp_path), detector=detector) as service:
        client = GalleryClient(service.channel)
        gallery = await client.create()
        assert await client.enrol(gallery, "x", one, BLANK, one, other) == [ENROLLED, NO_FACE, ENROLLED, ENROLLED]
        assert await client.enrol(gallery, "y", BLANK, BLANK) == [NO_FACE, NO_FACE]
        assert detector.photos == 3, "each different photo of the client's is looked at once"
        sealed = await client.seal(gallery)
    assert sealed.identities == 1
    assert sealed.label_set_sha256 == sha256(b"x")
    assert sealed.gallery_sha256 == sha256("\n".join(sorted(f"x\t{sha256(photo)}" for photo in (one, other))).encode())


async def test_the_digests_are_of_the_identities_and_photos_in_bytewise_order(tmp_path: Path, serving: Open) -> None:
    people = {"b": photo_file("b"), "\U0001f600": photo_file("x"), "\uff5e": photo_file("y"), "a b": photo_file("z")}
    async with serving(matchers=matchers_of(tmp_path)) as service:
        client = GalleryClient(service.channel)
        gallery = await client.create()
        for identity, photo in people.items():
            await client.enrol(gallery, identity, photo)
        sealed = await client.seal(gallery)
        assert await client.seal(gallery) == sealed
    assert sealed.label_set_sha256 == sha256(b"\n".join(sorted(identity.encode() for identity in people)))
    lines = [f"{identity}\t{sha256(photo)}".encode() for identity, photo in people.items()]
    assert sealed.gallery_sha256 == sha256(b"\n".join(sorted(lines)))


async def test_enrolling_again_is_answered_without_computing_or_refused(tmp_path: Path, serving: Open) -> None:
    detector = CountingDetector()
    async with serving(matchers=matchers_of(tmp_path), detector=detector) as service:
        client = GalleryClient(service.channel)
        gallery = await client.create()
        await client.enrol(gallery, "x", photo_file("x"), BLANK)
        assert await client.enrol(gallery, "x", BLANK, photo_file("x")) == [NO_FACE, ENROLLED]
        told = await refusal(client.enrol(gallery, "x", photo_file("y")))
        assert detector.photos == 2
        await client.seal(gallery)
        sealed = await refusal(client.enrol(gallery, "x", photo_file("x"), BLANK))
    assert (told.code, told.reason, told.fields) == (
        grpc.StatusCode.ALREADY_EXISTS,
        "ALREADY_ENROLLED",
        frozenset({"identity"}),
    )
    assert told.message.endswith("got other photos of 'x'")
    assert (sealed.code, sealed.reason) == (PRECONDITION, "GALLERY_SEALED")


async def test_bounds_are_told_with_the_way_out_and_never_to_try_again(tmp_path: Path, serving: Open) -> None:
    limits = GalleryLimits(galleries=2, identities=4, pictures=2)
    async with serving(matchers=matchers_of(tmp_path), galleries=limits) as service:
        client = GalleryClient(service.channel)
        gallery = await client.create(DEFAULT)
        await client.enrol(gallery, "x", photo_file("x"))
        other = await client.create()
        told = [
            await refusal(client.create()),
            await refusal(client.enrol(gallery, "y", photo_file("x"))),
            await refusal(client.enrol(other, "y", photo_file("x"), photo_file("y"), photo_file("z"))),
        ]
        await client.delete(gallery)
        assert await client.create()
    for refused, bound in zip(told, ("2 galleries", "4 identities", "2 pictures"), strict=True):
        assert (refused.code, refused.reason, refused.retry_after_ms) == (EXHAUSTED, "GALLERY_LIMIT", -1)
        assert bound in refused.message
        assert "DeleteGallery" in refused.message


async def test_galleries_that_are_not_there_are_refused_in_the_same_words(tmp_path: Path, serving: Open) -> None:
    authority = Authority.create()
    tls = material(authority, "localhost", server=True)
    async with (
        serving(matchers=matchers_of(tmp_path), tls=tls) as service,
        open_channel(service.address, tls=material(authority, "ada")) as of_ada,
        open_channel(service.address, tls=material(authority, "bob")) as of_bob,
    ):
        ada, bob = GalleryClient(of_ada), GalleryClient(of_bob)
        foreign, deleted = await bob.sealed({"x": [photo_file("x")]}), await ada.create()
        await ada.delete(deleted)
        await ada.delete(foreign)
        told = [
            await refusal(call)
            for name in (foreign, deleted, "never was", DEFAULT, "")
            for call in (ada.enrol(name, "x", photo_file("x")), ada.seal(name))
        ]
        as_base = await refusal(ada.create(foreign))
        assert (await bob.seal(foreign)).identities == 1, "it was not ada's to delete"
    assert {(each.code, each.reason, each.fields) for each in told} == {(MISSING, "NOT_FOUND", frozenset({"gallery"}))}
    assert len({each.message for each in told}) == 1
    assert as_base.message == told[0].message.replace("gallery: ", "base: ", 1)


async def test_a_service_without_matchers_or_told_so_enrols_nothing(tmp_path: Path, serving: Open) -> None:
    matchers = matchers_of(tmp_path)
    kinds: list[dict[str, Any]] = [{}, {"matchers": matchers, "galleries": GalleryLimits(galleries=0)}]
    for kind in kinds:
        async with serving(**kind) as service:
            with pytest.raises(grpc.aio.AioRpcError) as failure:
                await GalleryClient(service.channel).create()
            assert failure.value.code() is grpc.StatusCode.UNIMPLEMENTED
            assert not (await listed(service))[0]
            health: Any = health_pb2_grpc.HealthStub(service.channel)  # its stubs do not name its methods
            with pytest.raises(grpc.aio.AioRpcError) as failure:
                await health.Check(health_pb2.HealthCheckRequest(service=GRPC_SERVICE))
            assert failure.value.code() is MISSING


async def test_a_service_that_enrols_says_so_and_its_models_digest_does_not(tmp_path: Path, serving: Open) -> None:
    matchers = matchers_of(tmp_path)
    async with serving(matchers=matchers, galleries=GalleryLimits(galleries=0)) as service:
        _, without = await listed(service)
    async with serving(matchers=matchers) as service:
        before = await listed(service)
        await GalleryClient(service.channel).sealed({"x": [photo_file("x")]}, base=DEFAULT)
        assert await listed(service) == before == (True, without)
        health: Any = health_pb2_grpc.HealthStub(service.channel)  # its stubs do not name its methods
        checked = await health.Check(health_pb2.HealthCheckRequest(service=GRPC_SERVICE))
    assert checked.status == health_pb2.HealthCheckResponse.SERVING


async def listed(service: Serving) -> tuple[bool, str | None]:
    """Whether a service says that it enrols, and the digest that comes with it."""
    of_invader = invader_pb2_grpc.InvaderServiceStub(service.channel).ListTargetModels
    of_protector = protector_pb2_grpc.ProtectorServiceStub(service.channel).ListSourceModels
    call: Any = of_invader(invader_pb2.ListTargetModelsRequest())
    if await call.code() is grpc.StatusCode.UNIMPLEMENTED:
        call = of_protector(protector_pb2.ListSourceModelsRequest())
    return (await call).enrols, await received_models_digest(call)


async def test_a_service_that_was_started_again_has_forgotten_its_galleries(tmp_path: Path, serving: Open) -> None:
    matchers = matchers_of(tmp_path)
    async with serving(matchers=matchers) as service:
        gallery = await GalleryClient(service.channel).sealed({"x": [photo_file("x")]})
    async with serving(matchers=matchers) as service:
        told = await refusal(GalleryClient(service.channel).seal(gallery))
    assert told.code is MISSING


async def test_two_calls_that_enrol_the_same_at_once_compute_it_once(tmp_path: Path, serving: Open) -> None:
    detector = HeldDetector()
    async with serving(matchers=matchers_of(tmp_path), detector=detector, workers=2) as service:
        client = GalleryClient(service.channel)
        gallery = await client.create()
        calls = [asyncio.create_task(client.enrol(gallery, "x", photo_file("x"), photo_file("y"))) for _ in range(2)]
        await detector.has_begun()
        detector.let_go.set()
        assert await asyncio.gather(*calls) == [[ENROLLED, ENROLLED]] * 2
        assert detector.photos == 2
        assert (await client.seal(gallery)).identities == 1


async def test_of_two_calls_that_enrol_an_identity_with_different_photos_one_is_refused(
    tmp_path: Path, serving: Open
) -> None:
    detector = HeldDetector()
    async with serving(matchers=matchers_of(tmp_path), detector=detector, workers=2) as service:
        client = GalleryClient(service.channel)
        gallery = await client.create()
        calls = [asyncio.create_task(client.enrol(gallery, "x", photo_file("x", number))) for number in range(2)]
        for _ in calls:
            await detector.has_begun()
        detector.let_go.set()
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert (await client.seal(gallery)).identities == 1
    (failed,) = [each for each in ended if isinstance(each, grpc.aio.AioRpcError)]
    assert failed.code() is grpc.StatusCode.ALREADY_EXISTS
    assert [ENROLLED] in ended


async def seals(client: GalleryClient, gallery: str) -> None:
    await client.seal(gallery)


async def deletes(client: GalleryClient, gallery: str) -> None:
    await client.delete(gallery)


@pytest.mark.parametrize(("meanwhile", "code"), [(seals, PRECONDITION), (deletes, MISSING)])
async def test_an_enrolment_whose_gallery_is_sealed_or_deleted_meanwhile_enrols_nothing(
    tmp_path: Path, serving: Open, meanwhile: Any, code: grpc.StatusCode
) -> None:
    detector = HeldDetector()
    async with serving(matchers=matchers_of(tmp_path), detector=detector, workers=2) as service:
        client = GalleryClient(service.channel)
        gallery = await client.create(DEFAULT)
        enrolling = asyncio.create_task(client.enrol(gallery, "x", photo_file("x")))
        await detector.has_begun()
        await meanwhile(client, gallery)
        detector.let_go.set()
        told = await refusal(enrolling)
        if meanwhile is seals:
            assert (await client.seal(gallery)).identities == 3
    assert told.code is code


async def test_a_service_with_too_much_to_do_says_when_to_come_back(tmp_path: Path, serving: Open) -> None:
    detector = HeldDetector()
    async with serving(matchers=matchers_of(tmp_path), detector=detector, max_waiting=0) as service:
        client = GalleryClient(service.channel)
        gallery = await client.create()
        first = asyncio.create_task(client.enrol(gallery, "x", photo_file("x")))
        await detector.has_begun()
        told = await refusal(client.enrol(gallery, "y", photo_file("y")))
        detector.let_go.set()
        assert await first == [ENROLLED]
        assert await client.enrol(gallery, "y", photo_file("y")) == [ENROLLED]
    assert (told.code, told.reason) == (EXHAUSTED, "BUSY")
    assert told.retry_after_ms is not None
    assert told.retry_after_ms > 0


async def test_a_gallery_is_kept_for_as_long_as_its_client_is_told(tmp_path: Path, serving: Open) -> None:
    async with serving(matchers=matchers_of(tmp_path), galleries=GalleryLimits(seconds=60)) as service:
        client = GalleryClient(service.channel)
        assert [(await client.created(seconds=seconds)).seconds for seconds in (0, 1, 60, 2**31 - 1)] == [60, 1, 60, 60]
