"""Calls that end before they are answered, and health."""

import asyncio

from conformance.bad_input import still_serves
from conformance.check import check, fail_for
from conformance.invader.service import SERVICE, Invader
from conformance.lifetime import ROUNDS, health_faults, leave_some, refused_among

LEFT = 8  # calls at a time that nobody waits for


@check(
    "invader.cancellation",
    demands=f"After {LEFT} calls that were cancelled while they were worked on, the next one is answered, in the time that "
    "any call is given.",
    why="Who cancels has stopped waiting; a service that is held up by it can be held up by anyone.",
    queries=ROUNDS * LEFT + 3,
)
async def cancellation(service: Invader) -> None:
    await _serves_after(service, cancelled=True)


@check(
    "invader.deadline",
    demands=f"After {LEFT} calls whose deadline passed while they were worked on, the next one is answered, in the time "
    "that any call is given.",
    why="A deadline is how a client says until when an answer is of use; whoever sets a short one must harm nobody.",
    queries=ROUNDS * LEFT + 3,
)
async def deadline(service: Invader) -> None:
    await _serves_after(service, cancelled=False)


async def _serves_after(service: Invader, *, cancelled: bool) -> None:
    for _ in range(2):  # the first may take longer
        await service.classify(service.request())
    await leave_some(
        lambda after: service.wire.leave("Classify", service.request(), after=after, cancelled=cancelled),
        calls=LEFT,
        seconds=service.wire.took["Classify"],
    )
    fail_for(await still_serves(service))


@check(
    "invader.health",
    demands="grpc.health.v1 says SERVING of the whole server and of the service by its name, and NOT_FOUND of a name it "
    "does not have.",
    why="Whoever starts services waits for it, and container engines restart those that do not say it.",
)
async def health(service: Invader) -> None:
    fail_for(await health_faults(service.wire, SERVICE))


@check(
    "invader.health-under-load",
    demands="Health is answered while faces are classified.",
    why="A service that computes where it answers looks dead whenever it works.",
    queries=LEFT,
)
async def health_under_load(service: Invader) -> None:
    tasks = [asyncio.create_task(service.classify(service.request(), times=LEFT)) for _ in range(LEFT)]
    try:
        waiting = set(tasks)
        while waiting:
            fail_for(await health_faults(service.wire, SERVICE))
            _, waiting = await asyncio.wait(tasks, timeout=0.1)
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    fail_for(f"a query is refused meanwhile: {each}" for each in refused_among(ended))
