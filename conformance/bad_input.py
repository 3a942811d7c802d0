"""Requests that are to be refused, each for what it is; the next is served. Whichever service is asked."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from google.protobuf.message import Message

from conformance.check import NotApplicable
from conformance.pictures import bad_images, bombs, large
from conformance.refusal import Refusal
from conformance.refusing import (
    LARGE_MESSAGE,
    MALFORMED,
    NOT_PARSED,
    TOO_LARGE,
    Expected,
    faults,
    invalid,
    unknown_name,
)
from conformance.wire import Wire

NAMELESS = "no name of yours"
PATH = "../../etc/passwd"
ENDLESS = "x" * 5000


class Asked(Protocol):
    """A service that good and bad requests are put to."""

    wire: Wire

    async def refusal(self, **changes: Any) -> Refusal | None:
        """How a request is refused that is good but for the changes; None where it is answered."""

    async def refusal_of_image(self, image: bytes) -> Refusal | None:
        """How an image is refused."""

    async def refusal_of_a_good_request(self) -> Refusal | None:
        """How a request is refused that is good, and costs little."""


async def refused(service: Asked, cases: Iterable[tuple[Expected, Mapping[str, Any]]]) -> list[str]:
    """What is wrong with how bad requests are met, and with whether a good one is served after them."""
    problems: list[str] = []
    for expected, changes in cases:
        problems += faults(expected, await service.refusal(**changes))
    return problems + await still_serves(service)


async def still_serves(service: Asked) -> list[str]:
    """What is wrong with how a good request is met now."""
    got = await service.refusal_of_a_good_request()
    return [] if got is None else [f"afterwards a good request is refused: {got}"]


async def images_refused(service: Asked, images: Iterable[tuple[Expected, bytes]]) -> list[str]:
    """As `refused`, for images."""
    problems: list[str] = []
    for expected, image in images:
        problems += faults(expected, await service.refusal_of_image(image))
    return problems + await still_serves(service)


def broken(photo: bytes, *, field: str) -> Iterator[tuple[Expected, bytes]]:
    """Images that are none, or not whole."""
    yield from ((invalid(what, field), image) for what, image in bad_images(photo))


def beyond_limits(*, field: str) -> Iterator[tuple[Expected, bytes]]:
    """Images that are larger than can be taken."""
    yield from ((invalid(what, field), image) for what, image in bombs())
    yield Expected("an image of 20 MiB of zeros", TOO_LARGE), LARGE_MESSAGE


async def not_taken(service: Asked, photo: bytes, *, field: str) -> list[str]:
    """What is wrong with how a large image is met that is within the limits of the protocol.

    Raises:
        NotApplicable: the service has a smaller limit of its own, and says so as of any limit.
    """
    image = large(photo)
    got = await service.refusal_of_image(image)
    if got is None:
        return []
    what = f"a PNG of {len(image)} bytes"
    if not list(faults(invalid(what, field), got)):
        raise NotApplicable(f"the service refuses {what} for `{field}`, as one does that takes less: {got.message}")
    return [f"{what}: expected an answer, got {got}"]


async def malformed_taken(service: Asked, methods: Mapping[str, type[Message]], *, streams: str = "") -> list[str]:
    """What is wrong with how bytes are met that are no message; `streams` is the method that answers by a stream."""
    problems: list[str] = []
    for method, kind in methods.items():
        got = await service.wire.refusal(method, MALFORMED, kind, streams=method == streams)
        problems += faults(Expected(f"{method} of bytes that are no message", NOT_PARSED), got)
    return problems + await still_serves(service)


def bad_pages(*, model_field: str) -> Iterator[tuple[Expected, Mapping[str, Any]]]:
    """Requests for pages of identities that there are not, by what is to be changed of a good one."""
    yield invalid("page_size -1", "page_size"), {"page_size": -1}
    yield invalid("page_size 10001", "page_size"), {"page_size": 10_001}
    yield invalid("a token of its own making", "page_token"), {"page_token": "no token of yours"}
    yield unknown_name("an unknown model", model_field), {model_field: "no model of yours"}
