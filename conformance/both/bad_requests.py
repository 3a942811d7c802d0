"""Requests that are to be refused, each for what it is; the next is served."""

from collections.abc import Iterable, Iterator

from conformance.check import NotApplicable, Problems, check
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
UNKNOWN_FIELD = b"\xc2\x3e\x03new"  # field 1000, of three bytes


async def refused(service: Service, requests: Iterable[BadRequest]) -> Problems:
    """What is wrong with how bad requests are met, and with whether a good one is served after them."""
    for bad in requests:
        for problem in bad.problems(await service.refusal(**bad.changes)):
            yield problem
    async for problem in still_serves(service):
        yield problem


async def still_serves(service: Service) -> Problems:
    """What is wrong with how a good request that costs little is met now."""
    if (got := await service.refusal(**service.cheap)) is not None:
        yield f"afterwards a good request is refused: {got}"


@check(
    "bad-image",
    demands="What is no image, or no whole one, is refused with INVALID_ARGUMENT naming the image's field, and the next "
    "request is served.",
    why="Data sets hold broken files; a cloak of half a photo would be counted as one of the whole, and an image without a "
    "face as protected.",
    queries=8,
)
def bad_image(service: Service) -> Problems:
    return refused(service, _with(service, bad_images(service.photo)))


@check(
    "large-image",
    demands="A PNG of 8 to 12 MiB and three million pixels is answered, or refused with INVALID_ARGUMENT naming its field "
    "by a service that takes less.",
    why="Cameras make such photos, and many libraries refuse messages of more than 4 MiB unless they are told.",
    queries=1,
)
async def large_image(service: Service) -> Problems:
    image = large(service.photo)
    got = await service.refusal(**{service.image_field: image, **service.cheap})
    if got is None or got.reason == NO_FACE:
        return
    what = f"a PNG of {len(image)} bytes"
    if not list(invalid(what, service.image_field).problems(got)):
        raise NotApplicable(f"the service refuses {what} as one does that takes less: {got.message}")
    yield f"{what}: expected an answer, got {got}"


@check(
    "limits",
    demands="Images of more pixels than can be taken, and messages of 20 MiB, are refused, and the next request is served.",
    why="A hundred bytes can promise gigabytes; a service that believes them is gone.",
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
    demands="Bytes that are no message are refused with INVALID_ARGUMENT, INTERNAL or UNKNOWN, by every method, and the "
    "next request is served.",
    why="Anything may be sent to an open port.",
    queries=2,
)
async def malformed(service: Service) -> Problems:
    for method in service.schema.methods:
        bad = BadRequest(f"{method.name} of bytes that are no message", NOT_PARSED, {})
        for problem in bad.problems(await service.client.refusal(method.name, MALFORMED)):
            yield problem
    async for problem in still_serves(service):
        yield problem


@check(
    "newer-client",
    demands="A request with a field that the schema does not have is answered as without it.",
    why="The schema grows by addition: a newer client must be able to ask an older service.",
    queries=2,
)
async def newer_client(service: Service) -> Problems:
    request = service.request(**service.cheap)
    extended = await service.ask(request.SerializeToString() + UNKNOWN_FIELD)
    if difference := service.difference(await service.ask(request), extended):
        yield f"where the request has a further field: {difference}"


@check(
    "error-texts",
    demands="No error tells a path, a traceback, a source file, an exception's or a checkpoint's name, a library's inside, "
    "an address, or numbers in a row.",
    why="Error texts reach whoever asks; what they tell of the inside helps an attacker and no client.",
    queries=8,
)
async def error_texts(service: Service) -> Problems:
    broken = ({service.image_field: image, **service.cheap} for image in (b"This is no image.", service.photo[:100]))
    for changes in (*broken, *service.bad_requests()):
        await service.refusal(**changes)
    await service.client.refusal(service.query, MALFORMED)
    for leak in leaks(service.client.refusals, sent=[UNKNOWN_NAME, PATH, *service.names()]):
        yield leak
