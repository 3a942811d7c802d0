"""Galleries of the client's own, where a service enrols them: how they are filled, sealed, derived and forgotten."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import grpc

from conformance.both.bad_requests import still_serves
from conformance.check import NotApplicable, Problems, check
from conformance.client_galleries import (
    DEFAULT,
    ENROLLED,
    NO_FACE,
    ONE,
    THREE,
    TWO,
    ClientGalleries,
    digest_problems,
)
from conformance.images import annotated, faceless
from conformance.refusals import BadRequest, invalid, unknown_name
from conformance.service import CLASSIFIERS, Service
from rpc.errors import ALREADY_ENROLLED, GALLERY_EMPTY, GALLERY_NOT_SEALED, GALLERY_SEALED

SHORT_SECONDS = 1  # that a gallery is kept, where it is to expire
BEYOND_SECONDS = 1.0  # that are waited longer
NO_IMAGE = b"This is no image, whatever it is called."
BAD_IDENTITIES = {
    "no identity": "",
    "an identity with a line feed": "Zoë\nZoe",
    "an identity with a tab": "Zoë\tZoe",
    "an identity in Unicode's normal form D": "Zoe\u0308",
}


def _conflict(
    what: str, field: str, reason: str, *, code: grpc.StatusCode = grpc.StatusCode.FAILED_PRECONDITION, **changes: Any
) -> BadRequest:
    return BadRequest(what, (code,), changes, field, reason)


@check(
    "gallery-digests",
    demands="SealGallery states the number of enrolled identities and the digests of label set and photos, whatever the "
    "order of enrolment, equal photos counting once; likewise when the gallery is sealed already.",
    why="By these digests a client knows that what is searched is what it meant to enrol.",
)
async def gallery_digests(service: Service) -> Problems:
    galleries = ClientGalleries(service)
    one, two = galleries.photos
    people = {TWO: [two, annotated(two), two], ONE: [one], THREE: [annotated(one)]}
    for order in (people, dict(reversed(people.items()))):
        async with galleries.opened() as gallery:
            for identity, photos in order.items():
                if (outcomes := await galleries.enrol(gallery, identity, *photos)) != [ENROLLED] * len(photos):
                    yield f"{len(photos)} photos with a face: expected that each is enrolled, got {outcomes}"
            for what in ("sealed", "sealed again"):
                for problem in digest_problems(await galleries.seal(gallery), people):
                    yield f"{what}: {problem}"


@check(
    "gallery-again",
    demands="An identity enrolled again with the same photos, in any order, gets the same answer; with others it is refused "
    "with ALREADY_EXISTS and the reason ALREADY_ENROLLED. Neither changes the gallery.",
    why="A call whose answer was lost is repeated; photos that replaced or joined others unnoticed make another gallery.",
)
async def gallery_again(service: Service) -> Problems:
    galleries = ClientGalleries(service)
    one, two = galleries.photos
    async with galleries.opened() as gallery:
        await galleries.enrol(gallery, ONE, one, two)
        if (outcomes := await galleries.enrol(gallery, ONE, two, one, two)) != [ENROLLED] * 3:
            yield f"the same photos again: expected the same answer, got {outcomes}"
        for what, photos in {"one of the photos": [one], "another photo too": [one, two, annotated(one)]}.items():
            fields = {"gallery": gallery, "identity": ONE, "photos": photos}
            bad = _conflict(what, "identity", ALREADY_ENROLLED, code=grpc.StatusCode.ALREADY_EXISTS, **fields)
            for problem in await galleries.problems("Enrol", bad):
                yield problem
        for problem in digest_problems(await galleries.seal(gallery), {ONE: [one, two]}):
            yield f"afterwards: {problem}"


@check(
    "gallery-states",
    demands="A gallery that is not sealed is neither searched nor a base: FAILED_PRECONDITION, GALLERY_NOT_SEALED. An empty "
    "one is not sealed: GALLERY_EMPTY. In a sealed one nobody is enrolled: GALLERY_SEALED. Each names the field.",
    why="A gallery that changes between two searches makes their answers incomparable.",
    queries=1,
)
async def gallery_states(service: Service) -> Problems:
    galleries = ClientGalleries(service)
    one, two = galleries.photos
    async with galleries.opened() as gallery:
        empty = _conflict("sealing an empty gallery", "gallery", GALLERY_EMPTY, gallery=gallery)
        for problem in await galleries.problems("SealGallery", empty):
            yield problem
    async with galleries.opened() as gallery:
        await galleries.enrol(gallery, ONE, one)
        await galleries.enrol(gallery, TWO, two)
        base = _conflict("a base that is not sealed", "base", GALLERY_NOT_SEALED, base=gallery)
        for problem in await galleries.problems("CreateGallery", base):
            yield problem
        searched = _conflict(f"{service.query} with a gallery that is not sealed", "gallery", GALLERY_NOT_SEALED)
        for problem in searched.problems(await service.refusal(**service.of_matcher(one, identity=ONE, gallery=gallery))):
            yield problem
        await galleries.seal(gallery)
        late = _conflict(
            "enrolling in a sealed gallery",
            "gallery",
            GALLERY_SEALED,
            gallery=gallery,
            identity=THREE,
            photos=[annotated(one)],
        )
        for problem in await galleries.problems("Enrol", late):
            yield problem
        for problem in digest_problems(await galleries.seal(gallery), {ONE: [one], TWO: [two]}):
            yield f"afterwards: {problem}"


@check(
    "gallery-unknown",
    demands="A gallery that was deleted and one that never was are refused with NOT_FOUND alike, in the same words, by "
    "every method but DeleteGallery, which answers. `default` is the base of others, and nothing else.",
    why="Words that differ tell a client which galleries others have, or had.",
    queries=3,
)
async def gallery_unknown(service: Service) -> Problems:
    galleries = ClientGalleries(service)
    one, _ = galleries.photos
    async with galleries.sealed({ONE: [one]}) as deleted:
        await galleries.delete(deleted)
        never = deleted[::-1]  # as long, and of the same kind
        texts: dict[str, list[str]] = {}
        for what, name in (("a deleted gallery", deleted), ("a gallery that never was", never)):
            requests: Mapping[str, Mapping[str, Any]] = {
                "CreateGallery": {"base": name},
                "Enrol": {"gallery": name, "identity": ONE, "photos": [one]},
                "SealGallery": {"gallery": name},
                service.query: service.of_matcher(one, identity=ONE, gallery=name),
            }
            for method, fields in requests.items():
                searches = method == service.query
                got = await (service.refusal(**fields) if searches else galleries.refusal(method, **fields))
                field = "base" if method == "CreateGallery" else "gallery"
                for problem in unknown_name(f"{method} with {what}", field).problems(got):
                    yield problem
                texts.setdefault(method, []).append(got.message.replace(name, "…") if got else "")
            await galleries.delete(name)
        for method, (of_deleted, of_never) in texts.items():
            if of_deleted != of_never:
                yield f"{method}: expected the same words of both, got {of_deleted!r} and {of_never!r}"
    own = unknown_name(f"{service.query} with {DEFAULT}", "gallery")
    for problem in own.problems(await service.refusal(**service.of_matcher(one, identity=ONE, gallery=DEFAULT))):
        yield problem


@check(
    "gallery-derived",
    demands="A gallery derived from another has its photos, except those of the identities that are enrolled anew; it "
    "answers as one that was enrolled with the same photos, leaves its base as it was, and outlives it.",
    why="Runs exchange one identity's photos in a gallery of thousands; an exchanged photo that stays recognises its owner.",
    queries=4,
)
async def gallery_derived(service: Service) -> Problems:
    galleries = ClientGalleries(service)
    one, two = galleries.photos
    base_people, people = {ONE: [one], TWO: [annotated(one)]}, {ONE: [one], TWO: [two]}
    async with galleries.sealed(base_people) as base, galleries.opened(base=base) as derived:
        await galleries.enrol(derived, TWO, two)
        for problem in digest_problems(await galleries.seal(base), base_people):
            yield f"the base, once an identity was exchanged in what is derived from it: {problem}"
        await galleries.delete(base)
        for problem in digest_problems(await galleries.seal(derived), people):
            yield f"derived, with the base deleted: {problem}"
        async with galleries.sealed(people) as fresh:
            for photo in (one, two):
                afresh, got = [
                    await service.ask(service.request(**service.of_matcher(photo, identity=TWO, gallery=gallery)))
                    for gallery in (fresh, derived)
                ]
                if difference := service.difference(afresh, got):
                    yield f"derived, and enrolled afresh with the same photos: {difference}"


@check(
    "gallery-default",
    demands=f"A gallery derived from `{DEFAULT}` has the identities and photos of the service's own, whose digests are "
    "listed; one identity more is enrolled beside them.",
    why="Whoever adds one person to a gallery of a service must know that nobody else was changed.",
)
async def gallery_default(service: Service) -> Problems:
    galleries = ClientGalleries(service)
    one, _ = galleries.photos
    listed = {(model.identities, model.label_set_sha256, model.gallery_sha256) for model in service.matchers}
    async with galleries.opened(base=DEFAULT) as unchanged, galleries.opened(base=DEFAULT) as extended:
        sealed = await galleries.seal(unchanged)
        if (sealed.identities, sealed.label_set_sha256, sealed.gallery_sha256) not in listed:
            yield "derived and sealed: expected the identities and digests that a matcher states, got others"
        await galleries.enrol(extended, ONE, annotated(one))
        expected = {number + 1 for number, _, _ in listed}
        if (number := (await galleries.seal(extended)).identities) not in expected:
            yield f"with one identity more: expected {min(expected)} identities, got {number}"


@check(
    "gallery-faceless",
    demands="A photo in which no face is found is NO_FACE, and counts in no digest. An identity with such photos alone is "
    "not enrolled, nor with the photos that the base has of it. Without a face detector, every photo is enrolled.",
    why="Cloaks that hide a face at enrolment are an outcome; whoever is still found by older photos is not protected.",
)
async def gallery_faceless(service: Service) -> Problems:
    galleries = ClientGalleries(service)
    one, two = galleries.photos
    blank = faceless()
    async with galleries.opened() as base:
        outcomes = await galleries.enrol(base, ONE, blank, one)
        if outcomes == [ENROLLED, ENROLLED]:
            raise NotApplicable("it enrols an image of one colour, as a service without a face detector does")
        if outcomes != [NO_FACE, ENROLLED]:
            yield f"an image of one colour and a photo: expected [{NO_FACE}, {ENROLLED}], got {outcomes}"
        if (outcomes := await galleries.enrol(base, TWO, annotated(blank))) != [NO_FACE]:
            yield f"an image of one colour: expected [{NO_FACE}], got {outcomes}"
        await galleries.enrol(base, THREE, two)
        for problem in digest_problems(await galleries.seal(base), {ONE: [one], THREE: [two]}):
            yield problem
        async with galleries.opened(base=base) as derived:
            await galleries.enrol(derived, THREE, annotated(blank))
            for problem in digest_problems(await galleries.seal(derived), {ONE: [one]}):
                yield f"derived, and enrolled anew without a face: {problem}"


@check(
    "gallery-bad-photos",
    demands="Enrol without photos is refused with INVALID_ARGUMENT naming `photos`, with a file that is no image naming it "
    "by its index; nothing is enrolled then.",
    why="An identity of which some photos were dropped silently is another gallery than its owner's.",
)
async def gallery_bad_photos(service: Service) -> Problems:
    galleries = ClientGalleries(service)
    one, two = galleries.photos
    async with galleries.opened() as gallery:
        bad_photos: Mapping[str, Mapping[str, Sequence[bytes]]] = {
            "photos": {"no photo": []},
            "photos[0]": {"a text": [NO_IMAGE], "a photo of no bytes": [b"", one]},
            "photos[1]": {"a photo and a text": [one, NO_IMAGE], "a photo and a half one": [one, two[: len(two) // 2]]},
        }
        for field, lists in bad_photos.items():
            for what, photos in lists.items():
                bad = invalid(what, field, gallery=gallery, identity=ONE, photos=photos)
                for problem in await galleries.problems("Enrol", bad):
                    yield problem
        await galleries.enrol(gallery, ONE, two)
        for problem in digest_problems(await galleries.seal(gallery), {ONE: [two]}):
            yield f"afterwards, with another photo: {problem}"


@check(
    "gallery-bad-fields",
    demands="An identity that is empty, not printable, or not in Unicode's normal form C, is refused with INVALID_ARGUMENT "
    "naming `identity`, a negative time naming `seconds`; nothing is enrolled then.",
    why="Identities are joined by line feeds and compared by their bytes: one that holds a line feed, or is spelled in two "
    "ways, is two.",
)
async def gallery_bad_fields(service: Service) -> Problems:
    galleries = ClientGalleries(service)
    one, _ = galleries.photos
    for problem in await galleries.problems("CreateGallery", invalid("-1 seconds", "seconds", seconds=-1)):
        yield problem
    async with galleries.opened() as gallery:
        for what, identity in BAD_IDENTITIES.items():
            bad = invalid(what, "identity", gallery=gallery, identity=identity, photos=[one])
            for problem in await galleries.problems("Enrol", bad):
                yield problem
        await galleries.enrol(gallery, ONE, one)
        for problem in digest_problems(await galleries.seal(gallery), {ONE: [one]}):
            yield f"afterwards: {problem}"


@check(
    "gallery-expiry",
    demands=f"A gallery that is asked for {SHORT_SECONDS} s is kept for that long, says so, and is NOT_FOUND when it was "
    "not used for longer.",
    why="A client that dies deletes nothing, and what it enrolled are faces.",
    queries=1,
)
async def gallery_expiry(service: Service) -> Problems:
    galleries = ClientGalleries(service)
    one, _ = galleries.photos
    async with galleries.sealed({ONE: [one]}) as unbounded:
        created = await galleries.create(base=unbounded, seconds=SHORT_SECONDS)
        if created.seconds != SHORT_SECONDS:
            yield f"asked for {SHORT_SECONDS} s: expected that it is kept for {SHORT_SECONDS} s, got {created.seconds} s"
        try:
            await galleries.seal(created.gallery)
            await asyncio.sleep(SHORT_SECONDS + BEYOND_SECONDS)
            expired = unknown_name(f"a gallery that was not used for {SHORT_SECONDS + BEYOND_SECONDS:g} s", "gallery")
            request = service.of_matcher(one, identity=ONE, gallery=created.gallery)
            for problem in expired.problems(await service.refusal(**request)):
                yield problem
        finally:
            await galleries.delete(created.gallery)


@check(
    "gallery-apart",
    demands="Lists, deid-models-digest, and answers with the service's own gallery are the same while a client has a "
    "gallery as before it.",
    why="What one client enrols must not show in what another is answered.",
    queries=3,
)
async def gallery_apart(service: Service) -> Problems:
    galleries = ClientGalleries(service)
    one, two = galleries.photos
    subject = service.matcher_subject
    own = service.request(**service.of_matcher(subject.photo, identity=subject.identity, gallery=""))
    before = await service.ask(own)
    listed, digests = await service.client.ask(service.list_models), set(service.client.models_digests)
    async with galleries.sealed({ONE: [annotated(one)], TWO: [annotated(two)]}, base=DEFAULT) as gallery:
        await service.ask(service.request(**service.of_matcher(one, identity=ONE, gallery=gallery)))
        if difference := service.difference(before, await service.ask(own)):
            yield f"with the service's own gallery, while another is there: {difference}"
        now = await service.client.ask(service.list_models)
        if getattr(now, service.models_field) != getattr(listed, service.models_field):
            yield "the list of models is another while a client has a gallery"
        if service.client.models_digests != digests:
            yield "deid-models-digest is another while a client has a gallery"


@check(
    "gallery-classifiers",
    demands="A request with a gallery for a model that is a classifier is refused with INVALID_ARGUMENT naming the model's "
    "field, and the next request is served.",
    why="A classifier names whom it was trained on: its answer would pass for a search in the gallery.",
    queries=2,
)
async def gallery_classifiers(service: Service) -> Problems:
    galleries = ClientGalleries(service)
    one, _ = galleries.photos
    classifiers = [model.name for model in service.models if model.kind in CLASSIFIERS]
    if not classifiers:
        raise NotApplicable("there is no classifier")
    async with galleries.sealed({ONE: [one]}) as gallery:
        fields, at_fault = service.beside_classifier(classifiers[0], one, identity=ONE, gallery=gallery)
        bad = invalid("a classifier with a gallery", at_fault)
        for problem in bad.problems(await service.refusal(**fields)):
            yield problem
    async for problem in still_serves(service):
        yield problem
