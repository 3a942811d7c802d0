"""Calls that end before they are answered, and health."""

import asyncio

from deid.protector.v1 import protector_pb2

from conformance.bad_input import still_serves
from conformance.check import check, fail_for
from conformance.lifetime import health_faults, leave_some, refused_among
from conformance.protector.service import SERVICE, Protector

LEFT = 4  # calls at a time that nobody waits for


@check(
    "protector.cancellation",
    demands=f"After {LEFT} calls that were cancelled while they were worked on, the next one is answered, in the time that "
    "any call is given.",
    why="Who cancels has stopped waiting; a service that is held up by it can be held up by anyone.",
)
async def cancellation(service: Protector) -> None:
    await _serves_after(service, cancelled=True)


@check(
    "protector.deadline",
    demands=f"After {LEFT} calls whose deadline passed while they were worked on, the next one is answered, in the time "
    "that any call is given.",
    why="A deadline is how a client says until when an answer is of use; whoever sets a short one must harm nobody.",
)
async def deadline(service: Protector) -> None:
    await _serves_after(service, cancelled=False)


async def _serves_after(service: Protector, *, cancelled: bool) -> None:
    request, seconds = await service.long_call()
    await leave_some(
        lambda after: service.wire.leave("Craft", request, after=after, cancelled=cancelled, streams=True),
        calls=LEFT,
        seconds=seconds,
    )
    fail_for(await still_serves(service))


@check(
    "protector.health",
    demands="grpc.health.v1 says SERVING of the whole server and of the service by its name, and NOT_FOUND of a name it "
    "does not have.",
    why="Whoever starts services waits for it, and container engines restart those that do not say it.",
)
async def health(service: Protector) -> None:
    fail_for(await health_faults(service.wire, SERVICE))


@check(
    "protector.health-under-load",
    demands="Health and lists are answered while cloaks are crafted.",
    why="A service that computes where it answers looks dead whenever it works.",
)
async def health_under_load(service: Protector) -> None:
    pairs = service.pairs()
    crafting = [
        asyncio.create_task(service.craft(service.request(model, subject), times=len(pairs))) for model, subject in pairs
    ]
    try:
        waiting = set(crafting)
        while waiting:
            fail_for(await health_faults(service.wire, SERVICE))
            await service.wire.ask("ListMethods", protector_pb2.ListMethodsRequest(), protector_pb2.ListMethodsResponse)
            _, waiting = await asyncio.wait(crafting, timeout=0.1)
    finally:
        for task in crafting:
            task.cancel()
        ended = await asyncio.gather(*crafting, return_exceptions=True)
    fail_for(f"a row is refused meanwhile: {each}" for each in refused_among(ended))
