"""Calls that end before they are answered, and health."""

import asyncio
from collections.abc import Awaitable, Callable

import grpc
from deid.protector.v1 import protector_pb2

from orchestrator.conformance.check import Failed, check, fail_for
from orchestrator.conformance.lifetime import health_faults
from orchestrator.conformance.protector.bad_input import still_serves
from orchestrator.conformance.protector.service import SERVICE, Protector, Response
from orchestrator.conformance.refusal import Refused

LEFT = 4  # calls at a time that nobody waits for
SLACK_SECONDS = 1.0

Request = protector_pb2.CraftRequest
Leave = Callable[[Protector, Request, float], Awaitable[None]]


@check(
    "protector.cancellation",
    demands=f"After {LEFT} calls that were cancelled, a call is answered within the time of one of them, and "
    f"{SLACK_SECONDS:g} s.",
    why="Who cancels has stopped waiting; cloaks that nobody wants must not cost those who wait.",
)
async def cancellation(service: Protector) -> None:
    await _answers_after(service, leave=_cancelled)


@check(
    "protector.deadline",
    demands=f"{LEFT} calls end with DEADLINE_EXCEEDED when their deadline passes; a call is then answered within the time "
    f"of one, and {SLACK_SECONDS:g} s.",
    why="A deadline is how a client says until when an answer is of use.",
)
async def deadline(service: Protector) -> None:
    await _answers_after(service, leave=_expired)


async def _answers_after(service: Protector, *, leave: Leave) -> None:
    loop = asyncio.get_running_loop()
    request, seconds = await service.long_call()
    await leave(service, request, seconds)
    began = loop.time()
    fail_for(await still_serves(service))
    if (waited := loop.time() - began) > (most := seconds + SLACK_SECONDS):
        raise Failed(
            f"after {LEFT} calls of {seconds:.1f} s that were left, the next was answered in {waited:.1f} s, not in "
            f"{most:.1f} s"
        )


async def _cancelled(service: Protector, request: Request, seconds: float) -> None:
    tasks = [asyncio.create_task(service.craft(request)) for _ in range(LEFT)]
    await asyncio.wait(tasks, timeout=seconds / 4)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _expired(service: Protector, request: Request, seconds: float) -> None:
    async def left() -> None:
        try:
            await service.wire.stream("Craft", request, Response, seconds=seconds / 4)
        except Refused as refused:
            if refused.refusal.code is not grpc.StatusCode.DEADLINE_EXCEEDED:
                raise

    await asyncio.gather(*(left() for _ in range(LEFT)))


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
    crafting = [asyncio.create_task(service.craft(service.request(model, subject))) for model, subject in service.pairs()]
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
    fail_for(f"a row is refused meanwhile: {each}" for each in ended if isinstance(each, Refused))
