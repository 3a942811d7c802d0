"""What becomes of a service while calls come and go, whichever it is: health, and calls that nobody waits for."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import grpc

from conformance.check import NotApplicable
from conformance.refusal import Refused
from conformance.wire import Wire

HEALTH_SECONDS = 5.0  # within which a service that works still says so
ROUNDS = 2
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


def refused_among(ended: Iterable[Any]) -> list[Refused]:
    """The refusals among what calls that ran meanwhile ended with.

    Raises:
        Exception: another of them, such as that of a service that stopped.
    """
    for each in ended:
        if isinstance(each, Exception) and not isinstance(each, Refused):
            raise each
    return [each for each in ended if isinstance(each, Refused)]


async def leave_some(begin: Callable[[float], Awaitable[bool]], *, calls: int, seconds: float) -> None:
    """Has calls begun at the same time and left while they are worked on, after a quarter of what one takes, or sooner.

    Args:
        begin: begins a call, leaves it after so many seconds, and tells whether it was not answered by then.
        calls: that are begun, `ROUNDS` times at most.
        seconds: that one takes.

    Raises:
        NotApplicable: they are all answered before.
    """
    for _ in range(ROUNDS):
        seconds /= 4
        if any(await asyncio.gather(*(begin(seconds) for _ in range(calls)))):
            return
    raise NotApplicable(f"calls are answered within {seconds:.4f} s, before they can be left")
