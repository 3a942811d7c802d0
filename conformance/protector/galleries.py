"""Cloaks that are crafted against galleries of the client's own."""

import numpy as np

from conformance.check import Failed, NotApplicable, Problems, check
from conformance.client_galleries import ONE, THREE, TWO, ClientGalleries
from conformance.images import annotated, decoded, mean_distance
from conformance.protector.methods import FGSM
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
    "identity has another photo: the cloak is at least twice as near to that of the gallery without it as to that of a "
    "gallery with another file of the same pixels.",
    why="A cloak that only moves away from its own photo looks better than it is.",
)
async def gallery_own_photo(service: Protector) -> Problems:
    galleries = ClientGalleries(service)
    methods = [name for name in service.following_gradients if name != FGSM][:1]  # whose first steps may be the same
    if not methods:
        raise NotApplicable("no method follows gradients in several steps, or all are costly")
    one, two = galleries.photos
    cloaks = []
    for photos in ([one, two], [two], [annotated(one), two]):
        async with galleries.sealed({ONE: photos, TWO: [annotated(one, b"A third file.")]}) as gallery:
            request = {**service.of_matcher(one, identity=ONE, gallery=gallery), "methods": methods}
            answers = await service.ask(service.request(**request))
            cloaks += [decoded(each.cloak, methods[0]).levels for each in answers]
    if len(cloaks) != 3 or len({cloak.shape for cloak in cloaks}) > 1:
        raise Failed(f"expected a cloak of {methods[0]} each of three requests, of one size, got {len(cloaks)}, or others")
    got, right, wrong = cloaks
    if np.array_equal(right, wrong):
        raise NotApplicable("whether the photo is left out makes no difference to the cloak")
    if 2 * (near := mean_distance(got, right)) > (far := mean_distance(got, wrong)):
        distances = f"{near:.3f} levels from it, and {far:.3f} from that of a gallery with the photo"
        yield f"expected the cloak of a gallery without the photo, got one {distances}"
