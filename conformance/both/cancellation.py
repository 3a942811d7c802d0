"""Calls that end before they are answered."""

import asyncio

from conformance.both.bad_requests import still_serves
from conformance.check import NotApplicable, Problems, check
from conformance.service import Service

ROUNDS = 2  # of calls that are left, each sooner than the one before


@check(
    "cancellation",
    demands="After several calls that were cancelled while they were worked on, the next one is answered, in the time that "
    "any call is given.",
    why="Who cancels has stopped waiting; a service that is held up by it can be held up by anyone.",
    queries=19,
)
def cancellation(service: Service) -> Problems:
    return _serves_after(service, cancelled=True)


@check(
    "deadline",
    demands="After several calls whose deadline passed while they were worked on, the next one is answered, in the time "
    "that any call is given.",
    why="A deadline is how a client says until when an answer is of use; whoever sets a short one must harm nobody.",
    queries=19,
)
def deadline(service: Service) -> Problems:
    return _serves_after(service, cancelled=False)


async def _serves_after(service: Service, *, cancelled: bool) -> Problems:
    """Has calls begun at the same time and left after a quarter of what one takes, or sooner."""
    request, seconds = await service.long_request()
    for _ in range(ROUNDS):
        seconds /= 4
        calls = (
            service.client.leave(service.query, request, after=seconds, cancelled=cancelled)
            for _ in range(service.calls_left)
        )
        if any(await asyncio.gather(*calls)):
            break
    else:
        raise NotApplicable(f"calls are answered within {seconds:.4f} s, before they can be left")
    async for problem in still_serves(service):
        yield problem
