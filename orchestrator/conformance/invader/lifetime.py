"""Calls that end before they are answered, and health."""

import asyncio

import grpc

from orchestrator.conformance.check import Failed, check, fail_for
from orchestrator.conformance.invader.bad_input import still_serves
from orchestrator.conformance.invader.service import SERVICE, Answer, Invader
from orchestrator.conformance.lifetime import health_faults
from orchestrator.conformance.refusal import Refused

LEFT = 8  # calls at a time that nobody waits for
SLACK_SECONDS = 1.0


@check(
    "invader.cancellation",
    demands=f"After {LEFT} calls that were cancelled, a call is answered within the time of {LEFT}, and {SLACK_SECONDS:g} "
    "s.",
    why="Who cancels has stopped waiting; a service that is held up by it can be held up by anyone.",
    queries=LEFT + 2,
)
async def cancellation(service: Invader) -> None:
    seconds = await _seconds(service)
    tasks = [asyncio.create_task(service.classify(service.request())) for _ in range(LEFT)]
    await asyncio.wait(tasks, timeout=seconds / 2)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await _answers_within(service, seconds)


@check(
    "invader.deadline",
    demands=f"{LEFT} calls end when their deadline passes; a call is then answered within the time of {LEFT}, and "
    f"{SLACK_SECONDS:g} s.",
    why="A deadline is how a client says until when an answer is of use.",
    queries=LEFT + 2,
)
async def deadline(service: Invader) -> None:
    seconds = await _seconds(service)

    async def left() -> None:
        try:
            await service.wire.ask("Classify", service.request(), Answer, seconds=seconds / 2)
        except Refused as refused:
            if refused.refusal.code is not grpc.StatusCode.DEADLINE_EXCEEDED:
                raise

    await asyncio.gather(*(left() for _ in range(LEFT)))
    await _answers_within(service, seconds)


async def _seconds(service: Invader) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await service.classify(service.request())
    return loop.time() - began


async def _answers_within(service: Invader, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    fail_for(await still_serves(service))
    if (waited := loop.time() - began) > (most := LEFT * seconds + SLACK_SECONDS):
        raise Failed(
            f"after {LEFT} calls of {seconds:.1f} s that were left, the next was answered in {waited:.1f} s, not in "
            f"{most:.1f} s"
        )


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
    tasks = [asyncio.create_task(service.classify(service.request())) for _ in range(LEFT)]
    try:
        waiting = set(tasks)
        while waiting:
            fail_for(await health_faults(service.wire, SERVICE))
            _, waiting = await asyncio.wait(tasks, timeout=0.1)
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    fail_for(f"a query is refused meanwhile: {each}" for each in ended if isinstance(each, Refused))
