"""Calls that are abandoned before they are answered."""

import asyncio

from conformance.both.bad_requests import still_serves
from conformance.check import NotApplicable, Problems, check
from conformance.service import Service

ROUNDS = 2  # of abandoned calls, each abandoned sooner than the one before


@check(
    "cancellation",
    demands="After several calls were cancelled while they were being worked on, the next call is answered within the "
    "usual time.",
    why="A client that cancels has stopped waiting; a service that it can hold up can be held up by anyone.",
    queries=19,
)
def cancellation(service: Service) -> Problems:
    return _serves_after(service, cancelled=True)


@check(
    "deadline",
    demands="After the deadlines of several calls passed while they were being worked on, the next call is answered "
    "within the usual time.",
    why="A deadline says until when an answer is of use; a client that sets a short one must not harm others.",
    queries=19,
)
def deadline(service: Service) -> Problems:
    return _serves_after(service, cancelled=False)


async def _serves_after(service: Service, *, cancelled: bool) -> Problems:
    """Begins calls at the same time and abandons them after a quarter of the time that one takes, or sooner."""
    request, seconds = await service.long_request()
    for _ in range(ROUNDS):
        seconds /= 4
        calls = (
            service.client.abandon(service.query, request, after=seconds, cancelled=cancelled)
            for _ in range(service.abandoned_calls)
        )
        if any(await asyncio.gather(*calls)):
            break
    else:
        raise NotApplicable(f"calls are answered within {seconds:.4f} s, before they can be abandoned")
    async for problem in still_serves(service):
        yield problem
