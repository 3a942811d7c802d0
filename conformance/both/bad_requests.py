"""Requests that a service must refuse, each with its own error, and serve the next."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from conformance.check import NotApplicable, Problems, check
from conformance.client_galleries import SCHEMA as GALLERIES
from conformance.images import bad_images, bombs, large
from conformance.refusals import NOT_PARSED, TOO_LARGE, BadRequest, invalid
from conformance.service import Service
from conformance.text_leaks import leaks
from rpc.errors import NO_FACE

UNKNOWN_NAME = "no name of yours"
PATH = "../../etc/passwd"
ENDLESS = "x" * 5000
LARGE_MESSAGE = bytes(20 * 2**20)  # the protocol demands 17 MiB at most
MALFORMED = b"\xff\xff\xff"
BAD_GALLERIES: Mapping[str, Mapping[str, Any]] = {
    "CreateGallery": {"base": PATH},
    "Enrol": {"gallery": UNKNOWN_NAME, "identity": "Zoë", "photos": [b"This is no image."]},
    "SealGallery": {"gallery": ENDLESS},
}
UNKNOWN_FIELD = b"\xc2\x3e\x03new"  # field 1000, of three bytes


async def refused(service: Service, requests: Iterable[BadRequest]) -> Problems:
    """What is wrong with the refusals of bad requests, and with the answer to a valid one after them."""
    for bad in requests:
        for problem in bad.problems(await service.refusal(**bad.changes)):
            yield problem
    async for problem in still_serves(service):
        yield problem


async def still_serves(service: Service) -> Problems:
    """Whether a cheap valid request is refused now."""
    if (got := await service.refusal(**service.cheap)) is not None:
        yield f"afterwards a valid request is refused: {got}"


@check(
    "bad-image",
    demands="A file that is not a complete image is refused with INVALID_ARGUMENT naming the image's field, and the next "
    "request is served.",
    why="Data sets contain broken files. A cloak of half a photo would count as a cloak of the photo, and an image "
    "without a face as protected.",
    queries=8,
)
def bad_image(service: Service) -> Problems:
    return refused(service, _with(service, bad_images(service.photo)))


@check(
    "large-image",
    demands="A PNG of 8 to 12 MiB and three million pixels is accepted, or, by a service with a lower limit, refused with "
    "INVALID_ARGUMENT naming its field.",
    why="Cameras make such photos, and many gRPC libraries refuse messages of more than 4 MiB by default.",
    queries=1,
)
async def large_image(service: Service) -> Problems:
    image = large(service.photo)
    got = await service.refusal(**{service.image_field: image, **service.cheap})
    if got is None or got.reason == NO_FACE:
        return
    what = f"a PNG of {len(image)} bytes"
    if not list(invalid(what, service.image_field).problems(got)):
        raise NotApplicable(f"the service has a lower limit, and refuses {what}: {got.message}")
    yield f"{what}: expected an answer, got {got}"


@check(
    "limits",
    demands="Images that state too many pixels, and messages of 20 MiB, are refused, and the next request is served.",
    why="A hundred bytes can promise gigabytes; a service that believes them runs out of memory.",
    queries=5,
)
def limits(service: Service) -> Problems:
    message = BadRequest("an image of 20 MiB of zeros", TOO_LARGE, {service.image_field: LARGE_MESSAGE, **service.cheap})
    return refused(service, [*_with(service, bombs()), message])


def _with(service: Service, images: Iterable[tuple[str, bytes]]) -> Iterator[BadRequest]:
    field = service.image_field
    for what, image in images:
        yield invalid(what, field, **{field: image, **service.cheap})


@check(
    "malformed",
    demands="Every method refuses bytes that are not a message with INVALID_ARGUMENT, INTERNAL or UNKNOWN, and the next "
    "request is served.",
    why="Anything may be sent to an open port.",
    queries=2,
)
async def malformed(service: Service) -> Problems:
    clients = [service.client]
    if service.listed.enrols:
        clients.append(service.client.of_another_service(GALLERIES))
    for client in clients:
        for method in client.service.methods:
            bad = BadRequest(f"{method.name} of bytes that are no message", NOT_PARSED, {})
            for problem in bad.problems(await client.refusal(method.name, MALFORMED)):
                yield problem
    async for problem in still_serves(service):
        yield problem


@check(
    "newer-client",
    demands="A request with a field that the schema does not have is answered as if the field were not there.",
    why="The schema grows by addition: newer clients must be able to use older services.",
    queries=2,
)
async def newer_client(service: Service) -> Problems:
    request = service.request(**service.cheap)
    extended = await service.ask(request.SerializeToString() + UNKNOWN_FIELD)
    if difference := service.difference(await service.ask(request), extended):
        yield f"with an unknown field in the request: {difference}"


@check(
    "error-texts",
    demands="No error text reveals a path, a traceback, a source file, the name of an exception or of a checkpoint, the "
    "inside of a library, an address, or a row of numbers.",
    why="Anyone can read error texts; what they reveal of the inside helps an attacker and no client.",
    queries=8,
)
async def error_texts(service: Service) -> Problems:
    broken = ({service.image_field: image, **service.cheap} for image in (b"This is no image.", service.photo[:100]))
    for changes in (*broken, *service.bad_requests()):
        await service.refusal(**changes)
    await service.client.refusal(service.query, MALFORMED)
    if service.listed.enrols:
        client = service.client.of_another_service(GALLERIES)
        for method, fields in BAD_GALLERIES.items():
            await client.refusal(method, client.message(method, **fields))
    for leak in leaks(service.client.refusals, sent=[UNKNOWN_NAME, PATH, *service.names()]):
        yield leak
