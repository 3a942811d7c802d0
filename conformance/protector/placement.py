"""Cloaks in the whole photo: the box, its pixels, its budget."""

from collections.abc import AsyncIterator
from hashlib import sha256

import numpy as np
from deid.protector.v1 import protector_pb2

from conformance.both.bad_requests import refused
from conformance.check import NotApplicable, Problems, check
from conformance.images import Levels, decoded, turned, upright
from conformance.protector.methods import CONTROL
from conformance.protector.service import EPSILONS, Protector, Response
from conformance.protector.storage import jpeg
from conformance.refusals import invalid
from rpc.images.decoding import encode_png

CROP, PHOTO = protector_pb2.PLACEMENT_CROP, protector_pb2.PLACEMENT_PHOTO
NUMBERS = (3, -1, 2**31 - 1)  # that the enum does not have


@check(
    "placements",
    demands="Placements are listed once each, PLACEMENT_CROP among them and PLACEMENT_UNSPECIFIED not; or none are listed.",
    why="A client that asks a service for whole photos which has crops alone gets crops, and measures another experiment.",
)
async def placements(service: Protector) -> Problems:
    listed = list(service.listed.placements)
    if listed and CROP not in listed:
        yield f"expected PLACEMENT_CROP among the placements, got {listed}"
    if len(set(listed)) < len(listed) or protector_pb2.PLACEMENT_UNSPECIFIED in listed:
        yield f"expected each placement once and without PLACEMENT_UNSPECIFIED, got {listed}"


@check(
    "crop-placement",
    demands="A service that lists placements answers PLACEMENT_CROP as it answers a request without a placement, and says "
    "of no crop where in the photo it lies.",
    why="Crops are the paper's experiment, whatever else a service offers.",
)
async def crop_placement(service: Protector) -> Problems:
    if not service.listed.placements:
        raise NotApplicable("it lists no placements, and has crops alone")
    before, named = await service.answers(), await service.answers(placement=CROP)
    if problem := service.difference(before, named):
        yield problem
    for each in named:
        if any((each.left, each.top, each.photo_width, each.photo_height)):
            yield f"{each.method}, epsilon {each.epsilon}: expected no place in the photo, got one"


@check(
    "photo-box",
    demands="With PLACEMENT_PHOTO, all cloaks of a photo are PNGs of one box, which lies within the photo; the photo's size "
    "is stated as it is with its EXIF orientation applied; side is what the source model sees.",
    why="The cloak is pasted where the response says: elsewhere it would cover the photo with another part of itself.",
)
async def photo_box(service: Protector) -> Problems:
    sizes = {model.name: model.input_size for model in service.models}
    async for row, photo, responses in _rows(service):
        height, width, _ = photo.shape
        boxes = set()
        for each in responses:
            name = f"{row}: {each.method}, epsilon {each.epsilon}"
            image = decoded(each.cloak, name)
            rows, columns, _ = image.levels.shape
            boxes.add((each.left, each.top, rows, columns))
            if (each.photo_width, each.photo_height) != (width, height):
                got = f"{each.photo_width} x {each.photo_height}"
                yield f"{name}: expected a photo of {width} x {height} pixels, got {got}"
            if not (0 <= each.left <= width - columns and 0 <= each.top <= height - rows):
                got = f"{columns} x {rows} at {each.left}, {each.top}"
                yield f"{name}: expected a box within {width} x {height} pixels, got {got}"
            if (image.format, image.mode, image.channel_bits) != ("PNG", "RGB", 8):
                yield f"{name}: expected PNG RGB, 8 bits a channel, got {image.format} {image.mode}"
            if (side := sizes.get(row.partition(",")[0])) is not None and each.side != side:
                yield f"{name}: expected side {side}, got {each.side}"
        if len(boxes) > 1:
            yield f"{row}: expected one box, got {len(boxes)}"


@check(
    "photo-control",
    demands="With PLACEMENT_PHOTO, the control is the photo's own pixels in the box, which probe_sha256 is the digest of.",
    why="A box that was resized, or cut out elsewhere, would change the photo by more than the budget.",
)
async def photo_control(service: Protector) -> Problems:
    async for row, photo, responses in _rows(service):
        for each in responses:
            if each.method == CONTROL:
                control = decoded(each.cloak, f"{row}: the control").levels
                if not np.array_equal(control, _clean(photo, each, control)):
                    yield f"{row}: the control is not the photo's pixels at {each.left}, {each.top}"
                digest = sha256(control.astype(np.uint8).tobytes()).hexdigest()
                if each.probe_sha256 != digest:
                    yield f"{row}: expected probe_sha256 {digest[:12]}…, got {each.probe_sha256[:12]}…"


@check(
    "photo-budget",
    demands="With PLACEMENT_PHOTO, no pixel of the photo changes by more than epsilon, and largest_change is the largest "
    f"change; at epsilon {max(EPSILONS)} some cloak changes the box by each method that changes crops.",
    why="The budget is of the photo that is published, not of what a network sees of it.",
)
async def photo_budget(service: Protector) -> Problems:
    changing = {each.response.method for each in await service.cloaks() if each.change.any()}
    changed: set[str] = set()
    async for row, photo, responses in _rows(service):
        for each in responses:
            name = f"{row}: {each.method}, epsilon {each.epsilon}"
            levels = decoded(each.cloak, name).levels
            clean = _clean(photo, each, levels)
            if clean.shape != levels.shape:
                continue  # which photo-box reports
            change = int(np.abs(levels - clean).max())
            if change > each.epsilon:
                yield f"{name}: expected at most {each.epsilon} levels of change, got {change}"
            if change != each.largest_change:
                yield f"{name}: stated {each.largest_change} levels, measured {change}"
            if change:
                changed.add(each.method)
    for method in sorted(changing & set(service.method_names) - changed):
        yield f"{method}: changes crops, and no photo"


@check(
    "photo-storage",
    demands="With PLACEMENT_PHOTO, a request for JPEG is refused with INVALID_ARGUMENT naming `storage`.",
    why="What is published and compressed is the whole photo: a box of its own would be compressed in other blocks.",
)
async def photo_storage(service: Protector) -> Problems:
    _check_offered(service)
    bad = invalid("a box as JPEG", "storage", methods=[CONTROL], placement=PHOTO, storage=jpeg(95))
    async for problem in refused(service, [bad]):
        yield problem


@check(
    "bad-placement",
    demands="A service that lists placements refuses any other, and numbers that the schema does not have, with "
    "INVALID_ARGUMENT naming `placement`.",
    why="With a crop in place of a photo a run would go on, and measure something else.",
)
async def bad_placement(service: Protector) -> Problems:
    if not service.listed.placements:
        raise NotApplicable("it lists no placements, and need not read the field")
    others = [number for number in (*NUMBERS, PHOTO) if number not in service.listed.placements]
    bad = (invalid(f"the placement {number}", "placement", **service.cheap, placement=number) for number in others)
    async for problem in refused(service, bad):
        yield problem


async def _rows(service: Protector) -> AsyncIterator[tuple[str, Levels, list[Response]]]:
    """What a row is of, the upright photo's levels (H, W, 3), and the cloaks in it.

    The photos are PNGs, which every decoder reads alike; the last is turned by its EXIF orientation.

    Raises:
        NotApplicable: the service has crops alone.
    """
    _check_offered(service)
    for row, changes in service.samples().items():
        photo = upright(changes["photo"])
        responses = await service.answers(**{**changes, "photo": encode_png(photo)}, placement=PHOTO)
        yield row, photo.astype(np.int16), list(responses)
    pixels = upright(service.photo)
    height, width, _ = pixels.shape
    lying = turned(pixels[: height - (height == width)])  # of a square the size says nothing
    responses = await service.answers(methods=[CONTROL], epsilons=[], photo=lying, placement=PHOTO)
    yield "a photo that EXIF turns", upright(lying).astype(np.int16), list(responses)


def _check_offered(service: Protector) -> None:
    if PHOTO not in service.listed.placements:
        raise NotApplicable("it has crops alone")


def _clean(photo: Levels, response: Response, levels: Levels) -> Levels:
    """The photo's own pixels where a cloak goes, as far as it lies within the photo."""
    height, width, _ = levels.shape
    left, top = max(response.left, 0), max(response.top, 0)
    return photo[top : top + height, left : left + width]
