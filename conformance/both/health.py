"""Health checks, while a service is idle and while it works."""

import asyncio

import grpc

from conformance.check import Problems, check
from conformance.refusals import Refused
from conformance.service import Service

HEALTH_SECONDS = 5.0  # within which a working service reports its health
UNKNOWN_SERVICE = "no.such.Service"


@check(
    "health",
    demands="grpc.health.v1 reports SERVING for the whole server and for the service by its name, and NOT_FOUND for an "
    "unknown name.",
    why="Whoever starts a service waits for this, and container engines restart a service that does not report it.",
)
async def health(service: Service) -> Problems:
    for name in ("", service.schema.full_name):
        try:
            async with asyncio.timeout(HEALTH_SECONDS):
                status = await service.client.health(name)
        except TimeoutError:
            status = f"nothing within {HEALTH_SECONDS:g} s"
        except Refused as refused:
            status = str(refused.refusal)
        if status != "SERVING":
            yield f"expected SERVING of {name or 'the server'}, got {status}"
    try:
        yield f"expected NOT_FOUND of {UNKNOWN_SERVICE}, got {await service.client.health(UNKNOWN_SERVICE)}"
    except Refused as refused:
        if refused.refusal.code is not grpc.StatusCode.NOT_FOUND:
            yield f"expected NOT_FOUND of {UNKNOWN_SERVICE}, got {refused.refusal}"


@check(
    "health-under-load",
    demands="Health checks and lists are answered while images are being worked on.",
    why="A service that computes in the thread that answers looks dead whenever it works.",
    queries=12,
)
async def health_under_load(service: Service) -> Problems:
    requests = [service.request(**changes) for changes in service.samples().values() for _ in range(service.copies)]
    working = [asyncio.create_task(service.ask(request, times=len(requests))) for request in requests]
    try:
        waiting = set(working)
        while waiting:
            problems = [problem async for problem in health.problems(service)]
            for problem in problems:
                yield problem
            if problems:
                break
            await service.client.ask(service.list_models)
            _, waiting = await asyncio.wait(working, timeout=0.1)
    finally:
        for task in working:
            task.cancel()
        ended = await asyncio.gather(*working, return_exceptions=True)
    for each in ended:
        if isinstance(each, Refused):
            yield f"a request was refused meanwhile: {each}"
        elif isinstance(each, Exception):
            raise each
