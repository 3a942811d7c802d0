"""Cloaks that are crafted against galleries that clients enrolled."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
from deid.protector.v1 import protector_pb2, protector_pb2_grpc

from gallery_service.store import DEFAULT
from tests.support.client_galleries import (
    MATCHER,
    PEOPLE,
    GalleryClient,
    HeldDetector,
    matchers_of,
    photo_file,
    refusal,
)
from tests.support.services import Serving, serving_protector

ENSEMBLE = ("first", "second")


async def cloaks(channel: grpc.aio.Channel, **changes: Any) -> list[bytes]:
    fields: dict[str, Any] = {
        "photo": photo_file("d", 7),
        "identity": "d",
        "source_model": MATCHER,
        "methods": ["bim", "illc"],
        "epsilons": [4, 8],
        "storage": protector_pb2.Storage(png=protector_pb2.PngStorage()),
    }
    stub = protector_pb2_grpc.ProtectorServiceStub(channel)
    return [each.cloak async for each in stub.Craft(protector_pb2.CraftRequest(**(fields | changes)), timeout=60)]


@pytest.mark.parametrize("names", [(MATCHER,), ENSEMBLE])
@pytest.mark.parametrize("number", [0, 7])
async def test_cloaks_are_those_of_a_service_with_that_gallery(tmp_path: Path, names: tuple[str, ...], number: int) -> None:
    """Photo 0 is enrolled itself, and left out of its own template in both; the galleries have different sizes."""
    people = "cdef"
    ask: dict[str, Any] = {"photo": photo_file("d", number), "source_model": "+".join(names)}
    async with serving_protector(matchers=matchers_of(tmp_path / "whole", people, names=names)) as service:
        expected = await cloaks(service.channel, **ask)
    async with serving_protector(matchers=matchers_of(tmp_path / "other", names=names)) as service:
        photos = {person: [photo_file(person, each) for each in range(2)] for person in people}
        gallery = await GalleryClient(service.channel).sealed(photos)
        crafted = await cloaks(service.channel, gallery=gallery, **ask)
    assert len(expected) == 4
    assert crafted == expected


async def test_jobs_of_different_galleries_and_sizes_craft_as_alone(tmp_path: Path) -> None:
    async with serving_protector(matchers=matchers_of(tmp_path), workers=4) as service:
        client = GalleryClient(service.channel)
        galleries = [await client.sealed({person: [photo_file(person)] for person in people}) for people in ("bd", "abcdef")]
        requests: list[dict[str, Any]] = [
            {"gallery": gallery, "identity": identity} for gallery in galleries for identity in "bd"
        ]
        requests += [{"identity": identity} for identity in "ab"]
        alone = [await cloaks(service.channel, **each) for each in requests]
        together = await asyncio.gather(*(cloaks(service.channel, **each) for each in requests))
    assert together == alone
    assert len({tuple(each) for each in alone}) == len(requests)


async def test_a_method_that_needs_no_label_set_needs_no_identity(tmp_path: Path) -> None:
    async with serving_protector(matchers=matchers_of(tmp_path)) as service:
        gallery = await GalleryClient(service.channel).sealed({"d": [photo_file("d")], "e": [photo_file("e")]})
        assert len(await cloaks(service.channel, gallery=gallery, identity="", methods=["none", "noise"])) == 3


BAD: list[tuple[dict[str, Any], grpc.StatusCode, str, str]] = [
    ({"gallery": DEFAULT}, grpc.StatusCode.NOT_FOUND, "NOT_FOUND", "gallery"),
    ({"gallery": "never was"}, grpc.StatusCode.NOT_FOUND, "NOT_FOUND", "gallery"),
    ({"source_model": "small"}, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT", "source_model"),
    ({"source_model": f"small+{MATCHER}"}, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT", "source_model"),
    ({"identity": PEOPLE[0]}, grpc.StatusCode.NOT_FOUND, "NOT_FOUND", "identity"),
    ({"identity": ""}, grpc.StatusCode.NOT_FOUND, "NOT_FOUND", "identity"),
]


@pytest.mark.parametrize(("changes", "code", "reason", "field"), BAD)
async def test_a_bad_request_is_refused_by_field(
    tmp_path: Path, changes: dict[str, Any], code: grpc.StatusCode, reason: str, field: str
) -> None:
    async with serving_protector(matchers=matchers_of(tmp_path)) as service:
        gallery = await GalleryClient(service.channel).sealed({person: [photo_file(person)] for person in "de"})
        told = await refusal(cloaks(service.channel, **({"gallery": gallery} | changes)))
    assert (told.code, told.reason, told.fields) == (code, reason, frozenset({field}))


async def test_cloaks_are_crafted_once_the_gallery_is_sealed(tmp_path: Path) -> None:
    async with serving_protector(matchers=matchers_of(tmp_path)) as service:
        client = GalleryClient(service.channel)
        gallery = await client.create(DEFAULT)
        told = await refusal(cloaks(service.channel, gallery=gallery, identity="a"))
        await client.seal(gallery)
        assert len(await cloaks(service.channel, gallery=gallery, identity="a")) == 4
    assert (told.code, told.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "GALLERY_NOT_SEALED")


async def test_a_protector_that_enrols_nothing_has_no_gallery_to_craft_against() -> None:
    async with serving_protector() as service:
        told = await refusal(cloaks(service.channel, source_model="small", gallery="any"))
    assert (told.code, told.fields) == (grpc.StatusCode.NOT_FOUND, frozenset({"gallery"}))


async def test_cloaks_under_way_are_crafted_although_their_gallery_is_deleted(tmp_path: Path) -> None:
    detector = HeldDetector()
    async with serving_protector(matchers=matchers_of(tmp_path), detector=detector) as service:
        detector.let_go.set()
        client, gallery = await enrolled(service)
        expected = await cloaks(service.channel, gallery=gallery)
        for _ in range(3):
            await detector.has_begun()
        detector.let_go.clear()
        crafting = asyncio.create_task(cloaks(service.channel, gallery=gallery))
        await detector.has_begun()
        await client.delete(gallery)
        detector.let_go.set()
        assert await crafting == expected


async def enrolled(service: Serving) -> tuple[GalleryClient, str]:
    client = GalleryClient(service.channel)
    return client, await client.sealed({"d": [photo_file("d")], "e": [photo_file("e")]})
