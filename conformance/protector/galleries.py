"""Cloaks that are crafted against galleries of the client's own."""

from conformance.check import NotApplicable, Problems, check
from conformance.client_galleries import ONE, THREE, TWO, ClientGalleries
from conformance.images import annotated
from conformance.protector.service import Protector
from conformance.refusals import unknown_name


@check(
    "gallery-craft",
    demands="With a gallery of the client's own, cloaks are crafted for its identities, and another identity is refused "
    "with NOT_FOUND. Where the photos of two identities change places, a method that follows gradients crafts another "
    "cloak.",
    why="A cloak that was crafted against another gallery than the one that is asked for protects from another recognizer.",
)
async def gallery_craft(service: Protector) -> Problems:
    galleries = ClientGalleries(service)
    one, two = galleries.photos
    rows = []
    for photos in ((one, two), (two, one)):
        async with galleries.sealed({ONE: [photos[0]], TWO: [photos[1]]}) as gallery:
            rows.append(await service.ask(service.request(**service.of_matcher(one, identity=ONE, gallery=gallery))))
            for identity in (THREE, service.matcher_subject.identity):
                bad = unknown_name("an identity outside of the gallery", "identity")
                fields = service.of_matcher(one, identity=identity, gallery=gallery)
                for problem in bad.problems(await service.refusal(**fields)):
                    yield problem
    if service.following_gradients and service.difference(*rows) is None:
        yield "expected another cloak where the photos of two identities change places, got the same"


@check(
    "gallery-own-photo",
    demands="A photo that is enrolled itself is left out of the templates of its own identity while it is cloaked, if the "
    "identity has another photo: the cloak is that of the gallery without it.",
    why="A cloak that only moves away from its own photo looks better than it is.",
)
async def gallery_own_photo(service: Protector) -> Problems:
    galleries = ClientGalleries(service)
    if not service.following_gradients:
        raise NotApplicable("no method follows gradients, or all are costly")
    one, two = galleries.photos
    rows = []
    for photos in ([annotated(two)], [one, annotated(two)]):
        async with galleries.sealed({ONE: photos, TWO: [two]}) as gallery:
            rows.append(await service.ask(service.request(**service.of_matcher(one, identity=ONE, gallery=gallery))))
    if difference := service.difference(*rows):
        yield f"with the photo enrolled beside another of its identity, and without it: {difference}"
