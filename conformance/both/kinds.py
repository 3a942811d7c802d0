"""What models compare a face with: classifiers and matchers."""

from itertools import pairwise

from conformance.both.lists import is_digest
from conformance.check import NotApplicable, Problems, check
from conformance.service import CLASSIFIERS, MATCHER, Service

OF_MATCHERS = ("matching", "gallery_sha256", "thresholds")  # fields, of which source models have no thresholds


@check(
    "kinds",
    demands="Each model is a classifier or a matcher. A matcher states the digest of its gallery; a classifier states no "
    "matching, no gallery and no thresholds.",
    why="A matcher names whoever is enrolled, so a run is bound to its gallery; what a classifier knows is in its weights.",
)
async def kinds(service: Service) -> Problems:
    for model in service.models:
        if model.kind in CLASSIFIERS:
            stated = [field for field in OF_MATCHERS if getattr(model, field, None)]
            if stated:
                yield f"{model.name}: expected a classifier to leave {', '.join(stated)} empty"
        elif model.kind != MATCHER:
            yield f"{model.name}: expected the kind of a classifier or of a matcher, got {model.kind}"
        elif not is_digest(model.gallery_sha256):
            yield f"{model.name}: expected gallery_sha256 in 64 hexadecimal digits, got {model.gallery_sha256[:80]!r}"


@check(
    "gallery-order",
    demands="A matcher lists its enrolled identities in bytewise order.",
    why="Galleries of the same people then have the same label set, whatever the order of enrolment, and ties are decided "
    "alike.",
)
async def gallery_order(service: Service) -> Problems:
    if not service.matchers:
        raise NotApplicable("there is no matcher")
    for model in service.matchers:
        listed = await service.identities(model.name)
        for before, after in pairwise(listed):
            if before.encode() > after.encode():
                yield f"{model.name}: expected identities in bytewise order, got {before!r} before {after!r}"
