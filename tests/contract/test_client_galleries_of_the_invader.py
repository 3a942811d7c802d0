"""Searches in galleries that clients enrolled: whom the invader names, what it keeps of it, and who else notices."""

import asyncio
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from deid.gallery.v1 import gallery_pb2
from deid.invader.v1 import invader_pb2, invader_pb2_grpc

from gallery_service.store import DEFAULT
from invader_service.audit import AuditLog
from invader_service.disclosure import Disclosure
from invader_service.ledger import QueryLedger
from rpc.certificates import Authority
from rpc.channel import open_channel
from rpc.status import ReceivedError
from tests.support.certificates import material
from tests.support.client_galleries import (
    BLANK,
    MATCHER,
    PEOPLE,
    CountingDetector,
    GalleryClient,
    HeldDetector,
    matchers_of,
    photo_file,
    refusal,
)
from tests.support.eavesdropping import service_log
from tests.support.services import Serving, serving_invader

MORE = ("d", "e", "f")
MAY_WAIT = 16  # calls at a time
ENROLLED = gallery_pb2.ENROLMENT_ENROLLED


def searching(channel: grpc.aio.Channel, person: str, **changes: Any) -> Any:
    fields: dict[str, Any] = {"image": photo_file(person, 7), "target_models": [MATCHER], "k": 1}
    stub = invader_pb2_grpc.InvaderServiceStub(channel)
    return stub.Classify(invader_pb2.ClassifyRequest(**(fields | changes)), timeout=60)


async def named(service: Serving, person: str, **changes: Any) -> list[str]:
    """Whom the invader names for a further photo of a person."""
    answer = await searching(service.channel, person, **changes)
    return [each.identity for each in answer.classifications[0].candidates]


async def test_a_search_names_those_of_its_gallery_and_nobody_else(tmp_path: Path) -> None:
    async with serving_invader(matchers=matchers_of(tmp_path)) as service:
        client = GalleryClient(service.channel)
        two = await client.sealed({person: [photo_file(person)] for person in "de"})
        derived = await client.sealed({"b": [photo_file("f")]}, base=DEFAULT)
        assert sorted(await named(service, "d", gallery=two, k=2)) == ["d", "e"]
        assert [await named(service, person, gallery=two) for person in "de"] == [["d"], ["e"]]
        assert await named(service, "f", gallery=derived) == ["b"], "it is f's photo that is b's there"
        assert await named(service, "a", gallery=derived) == ["a"]
        assert sorted(await named(service, "f", k=3)) == list(PEOPLE)


async def test_a_gallery_like_the_own_one_gives_the_own_one_s_answers(tmp_path: Path) -> None:
    async with serving_invader(matchers=matchers_of(tmp_path), disclosure=Disclosure.PROBABILITIES) as service:
        client = GalleryClient(service.channel)
        photos = {person: [photo_file(person, number) for number in range(2)] for person in PEOPLE}
        galleries = [await client.sealed(photos), await client.sealed({}, base=DEFAULT)]
        for person in (*PEOPLE, *MORE):
            own = await searching(service.channel, person, k=3)
            assert [await searching(service.channel, person, k=3, gallery=gallery) for gallery in galleries] == [own] * 2


async def test_thresholds_are_reached_in_the_gallery_that_was_searched(tmp_path: Path) -> None:
    async with serving_invader(matchers=matchers_of(tmp_path, threshold=0.97)) as service:
        gallery = await GalleryClient(service.channel).sealed({"d": [photo_file("d")], "e": [photo_file("e")]})
        in_own = (await searching(service.channel, "d", k=2)).classifications[0].reached
        in_gallery = (await searching(service.channel, "d", k=2, gallery=gallery)).classifications[0].reached
    assert [(each.threshold, each.candidates) for each in in_own] == [("given", 0)]
    assert [(each.threshold, each.candidates) for each in in_gallery] == [("given", 1)]


BAD: list[tuple[dict[str, Any], grpc.StatusCode, str, str]] = [
    ({"gallery": DEFAULT}, grpc.StatusCode.NOT_FOUND, "NOT_FOUND", "gallery"),
    ({"gallery": "never was"}, grpc.StatusCode.NOT_FOUND, "NOT_FOUND", "gallery"),
    ({"target_models": [MATCHER, "small"]}, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT", "target_models[1]"),
    ({"k": 3}, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT", "k"),
    ({"k": 0}, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT", "k"),
]


@pytest.mark.parametrize(("changes", "code", "reason", "field"), BAD)
async def test_a_bad_search_is_refused_by_field(
    tmp_path: Path, changes: dict[str, Any], code: grpc.StatusCode, reason: str, field: str
) -> None:
    async with serving_invader(matchers=matchers_of(tmp_path)) as service:
        gallery = await GalleryClient(service.channel).sealed({person: [photo_file(person)] for person in "de"})
        told = await refusal(searching(service.channel, "d", **({"gallery": gallery} | changes)))
    assert (told.code, told.reason, told.fields) == (code, reason, frozenset({field}))


async def test_a_gallery_is_searched_once_it_is_sealed(tmp_path: Path) -> None:
    async with serving_invader(matchers=matchers_of(tmp_path)) as service:
        client = GalleryClient(service.channel)
        gallery = await client.create(DEFAULT)
        told = await refusal(searching(service.channel, "a", gallery=gallery))
        await client.seal(gallery)
        assert await named(service, "a", gallery=gallery) == ["a"]
    assert (told.code, told.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "GALLERY_NOT_SEALED")


async def test_an_invader_that_enrols_nothing_has_no_gallery_to_search() -> None:
    async with serving_invader() as service:
        told = await refusal(searching(service.channel, "a", target_models=["small"], gallery="any"))
    assert (told.code, told.fields) == (grpc.StatusCode.NOT_FOUND, frozenset({"gallery"}))


async def test_two_clients_with_the_same_identities_are_answered_from_their_own(tmp_path: Path) -> None:
    authority = Authority.create()
    tls = material(authority, "invader", server=True)
    async with (
        serving_invader(matchers=matchers_of(tmp_path), tls=tls) as service,
        open_channel(service.address, tls=material(authority, "ada")) as of_ada,
        open_channel(service.address, tls=material(authority, "bob")) as of_bob,
    ):
        straight = await GalleryClient(of_ada).sealed({"d": [photo_file("d")], "e": [photo_file("e")]})
        swapped = await GalleryClient(of_bob).sealed({"d": [photo_file("e")], "e": [photo_file("d")]})

        async def first(channel: grpc.aio.Channel, gallery: str) -> str:
            answer = await searching(channel, "d", gallery=gallery)
            return str(answer.classifications[0].candidates[0].identity)

        calls = [first(of_ada, straight) if turn % 2 else first(of_bob, swapped) for turn in range(MAY_WAIT)]
        assert await asyncio.gather(*calls) == ["e", "d"] * (MAY_WAIT // 2)
        told: list[ReceivedError] = [
            await refusal(searching(of_ada, "d", gallery=swapped)),
            await refusal(searching(of_bob, "d", gallery=straight)),
            await refusal(searching(of_bob, "d", gallery="never was")),
        ]
    assert {each.code for each in told} == {grpc.StatusCode.NOT_FOUND}
    assert len({each.message for each in told}) == 1


async def test_a_search_under_way_ends_well_although_its_gallery_is_deleted(tmp_path: Path) -> None:
    detector = HeldDetector()
    async with serving_invader(matchers=matchers_of(tmp_path), detector=detector) as service:
        client = GalleryClient(service.channel)
        detector.let_go.set()
        gallery = await client.sealed({"d": [photo_file("d")], "e": [photo_file("e")]})
        for _ in range(2):
            await detector.has_begun()
        detector.let_go.clear()
        search = asyncio.create_task(named(service, "d", gallery=gallery, k=2))
        await detector.has_begun()
        await client.delete(gallery)
        told = await refusal(searching(service.channel, "d", gallery=gallery))
        detector.let_go.set()
        assert await search == ["d", "e"]
    assert told.code is grpc.StatusCode.NOT_FOUND


async def test_searches_of_one_batch_in_different_galleries_are_answered_as_alone(tmp_path: Path) -> None:
    async with serving_invader(matchers=matchers_of(tmp_path), workers=4) as service:
        client = GalleryClient(service.channel)
        galleries = [
            "",
            await client.sealed({person: [photo_file(person)] for person in "de"}),
            await client.sealed({person: [photo_file(person)] for person in "defgh"}),
        ]
        requests = [(person, gallery) for person in (*PEOPLE, *MORE) for gallery in galleries]
        alone = [await searching(service.channel, person, k=2, gallery=gallery) for person, gallery in requests]
        together = [searching(service.channel, person, k=2, gallery=gallery) for person, gallery in requests]
        assert await asyncio.gather(*together) == alone


async def test_enrolling_costs_no_query_and_changes_no_answer_of_the_own_gallery(tmp_path: Path) -> None:
    ledger = QueryLedger(None, budget=100)
    async with serving_invader(matchers=matchers_of(tmp_path), ledger=ledger) as service:
        before = await searching(service.channel, "a", k=3)
        gallery = await GalleryClient(service.channel).sealed({"a": [photo_file("f")]}, base=DEFAULT)
        searched = await searching(service.channel, "a", k=3, gallery=gallery)
        after = await searching(service.channel, "a", k=3)
    assert (before.queries_left, searched.queries_left, after.queries_left) == (99, 98, 97)
    assert before.classifications == after.classifications


async def test_the_audit_log_has_a_line_for_each_enrolment_and_no_name(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    async with serving_invader(matchers=matchers_of(tmp_path / "own"), audit_log=AuditLog(log)) as service:
        client = GalleryClient(service.channel)
        gallery = await client.create()
        photos = [photo_file("d", number) for number in range(10)]
        await client.enrol(gallery, "somebody", *photos)
        await client.enrol(gallery, "nobody", BLANK)
        await refusal(client.enrol(gallery, "somebody", BLANK))
        await refusal(client.enrol("no such", "", BLANK))
        await client.seal(gallery)
        await searching(service.channel, "d", gallery=gallery)
        await searching(service.channel, "d")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    name = hashlib.sha256(gallery.encode()).hexdigest()[:16]
    assert [line["outcome"] for line in lines] == [
        *("enrolled", "no face", "ALREADY_ENROLLED", "INVALID_ARGUMENT", "answered", "answered"),
    ]
    first = lines[0]
    assert {key: first[key] for key in first if key not in ("time", "request_id")} == {
        "client": "loopback",
        "gallery": name,
        "identity_sha256": hashlib.sha256(b"somebody").hexdigest(),
        "photos": 10,
        "photo_bytes": sum(map(len, photos)),
        "photos_sha256": [hashlib.sha256(photo).hexdigest() for photo in photos[:8]],
        "outcome": "enrolled",
    }
    assert [line.get("gallery") for line in lines[3:]] == [hashlib.sha256(b"no such").hexdigest()[:16], name, None]
    assert max(map(len, log.read_text().splitlines())) < 1000
    for secret in (gallery, "somebody", "nobody"):
        assert secret not in log.read_text()


async def test_an_enrolment_that_takes_too_long_is_told_so_and_stops_before_its_next_photo(tmp_path: Path) -> None:
    detector = HeldDetector()
    async with serving_invader(matchers=matchers_of(tmp_path), detector=detector, max_seconds=0.05) as service:
        client = GalleryClient(service.channel)
        gallery = await client.create()
        told = await refusal(client.enrol(gallery, "d", *(photo_file("d", number) for number in range(5))))
        detector.let_go.set()
    assert (told.code, told.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "TOO_SLOW")
    assert detector.photos == 1


async def test_a_derived_gallery_of_a_thousand_embeds_those_who_are_exchanged_and_nobody_else(tmp_path: Path) -> None:
    detector = CountingDetector()
    matchers = matchers_of(tmp_path)
    async with serving_invader(matchers=matchers, detector=detector) as service:
        client = GalleryClient(service.channel)
        base = await client.create()
        people = [f"person {number:04}" for number in range(1000)]
        with embeddings_counted(matchers) as counted:
            for number, person in enumerate(people):
                await client.enrol(base, person, photo_file(chr(200 + number)))
            await client.seal(base)
            assert (len(counted), detector.photos) == (1000, 1000)
            derived = await client.create(base)
            await client.enrol(derived, people[500], photo_file("d"), photo_file("d", 1))
            assert (await client.seal(derived)).identities == 1000
            assert (len(counted), detector.photos) == (1002, 1002)
        assert await named(service, "d", gallery=derived) == [people[500]]


@contextmanager
def embeddings_counted(matchers: Any) -> Iterator[list[object]]:
    """Each face that the network sees meanwhile."""
    seen: list[object] = []
    network = matchers[MATCHER].recognizer.network
    hook = network.register_forward_pre_hook(lambda _, images: seen.extend(images[0]))
    try:
        yield seen
    finally:
        hook.remove()


async def test_no_gallery_s_name_is_in_the_service_s_log(tmp_path: Path) -> None:
    with service_log() as log:
        async with serving_invader(matchers=matchers_of(tmp_path)) as service:
            client = GalleryClient(service.channel)
            gallery = await client.create()
            await refusal(client.seal(gallery))
            await refusal(searching(service.channel, "d", gallery=gallery))
            await client.enrol(gallery, "d", photo_file("d"))
            await refusal(client.enrol(gallery, "d", BLANK))
            await client.seal(gallery)
            await searching(service.channel, "d", gallery=gallery)
            await client.delete(gallery)
            await refusal(searching(service.channel, "d", gallery=gallery))
    assert log.getvalue().count("refused") == 4
    assert gallery not in log.getvalue()
