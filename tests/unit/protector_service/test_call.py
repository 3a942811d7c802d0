"""What computing threads deliver reaches the call on the event loop."""

import asyncio
import threading

import numpy as np
import pytest
from deid.protector.v1 import protector_pb2

from protector_service.call import Call
from protector_service.job import FinishedCloak
from protector_service.methods.asks import Effort

PIXELS = np.zeros((1, 1, 3), np.uint8)


def call() -> Call:
    return Call(lambda cloak: protector_pb2.CraftResponse(epsilon=cloak.epsilon), seconds_left=None)


def cloak(epsilon: int) -> FinishedCloak:
    return FinishedCloak("bim", epsilon, PIXELS, largest_change=0, effort=Effort(n_iter=1))


async def test_responses_come_in_order_from_another_thread_until_the_end() -> None:
    crafting = call()

    async def read() -> list[int]:
        return [response.epsilon async for response in crafting]

    def write() -> None:
        for epsilon in range(100):
            crafting.deliver(cloak(epsilon))
        crafting.end(None)

    reading = asyncio.create_task(read())
    await asyncio.to_thread(write)
    assert await reading == list(range(100))


async def test_an_error_comes_after_the_responses_before_it() -> None:
    crafting = call()
    crafting.deliver(cloak(1))
    crafting.deliver(cloak(2))
    crafting.end(ZeroDivisionError("in the thread"))
    came: list[int] = []

    async def consume() -> None:
        async for response in crafting:
            came.append(response.epsilon)

    with pytest.raises(ZeroDivisionError, match="in the thread"):
        await consume()
    assert came == [1, 2]


async def test_responses_come_as_they_are_delivered() -> None:
    crafting = call()
    responses = aiter(crafting)
    for epsilon in range(3):
        crafting.deliver(cloak(epsilon))
        assert (await anext(responses)).epsilon == epsilon


def test_delivering_after_the_loop_has_closed_is_no_error() -> None:
    async def make() -> Call:
        return call()

    crafting = asyncio.run(make())
    failures: list[BaseException] = []

    def write() -> None:
        try:
            crafting.deliver(cloak(1))
            crafting.end(None)
        except BaseException as error:  # noqa: BLE001 - looked at below
            failures.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    thread.join()
    assert not failures
