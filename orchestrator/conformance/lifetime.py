"""Health, whichever service is asked."""

import asyncio

import grpc

from orchestrator.conformance.refusal import Refused
from orchestrator.conformance.wire import Wire

HEALTH_SECONDS = 5.0  # within which a service that works still says so
UNKNOWN_SERVICE = "no.such.Service"


async def health_faults(wire: Wire, service: str) -> list[str]:
    """What is wrong with the health that is told of a server and a service of it."""
    problems = []
    for name in ("", service):
        try:
            async with asyncio.timeout(HEALTH_SECONDS):
                status = await wire.health(name)
        except TimeoutError:
            status = f"nothing within {HEALTH_SECONDS:g} s"
        except Refused as refused:
            status = str(refused.refusal)
        if status != "SERVING":
            problems.append(f"expected SERVING of {name or 'the server'}, got {status}")
    try:
        problems.append(f"expected NOT_FOUND of {UNKNOWN_SERVICE}, got {await wire.health(UNKNOWN_SERVICE)}")
    except Refused as refused:
        if refused.refusal.code is not grpc.StatusCode.NOT_FOUND:
            problems.append(f"expected NOT_FOUND of {UNKNOWN_SERVICE}, got {refused.refusal}")
    return problems
