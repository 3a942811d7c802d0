"""`python -m benchmarks.stub_replicas REPLICAS IDENTITIES`: fakes of both services, each with one thing to do at a time.

Prints the addresses of the protectors and, on a second line, of the invaders; ends when its standard input does.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

from deid.invader.v1 import invader_pb2
from deid.protector.v1 import protector_pb2

from tests.support.fakes import FakeInvader, FakeProtector

CRAFT_SECONDS, SEARCH_SECONDS = 2.0, 0.02
SOURCES, TARGETS = ("facenet",), ("facenet", "resnet50")


def identities(number: int) -> tuple[str, ...]:
    """So many names."""
    return tuple(f"n{each:05d}" for each in range(number))


class StubProtector(FakeProtector):
    """One that takes as long as a sweep does, without computing anything."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.turn = asyncio.Lock()

    async def Craft(  # noqa: N802
        self, request: protector_pb2.CraftRequest, context: Any
    ) -> AsyncIterator[protector_pb2.CraftResponse]:
        """See `FakeProtector`."""
        async with self.turn:
            await asyncio.sleep(CRAFT_SECONDS)
        async for response in super().Craft(request, context):
            yield response


class StubInvader(FakeInvader):
    """One that takes as long as a search does."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.turn = asyncio.Lock()

    async def Classify(  # noqa: N802
        self, request: invader_pb2.ClassifyRequest, context: Any
    ) -> invader_pb2.ClassifyResponse:
        """See `FakeInvader`."""
        async with self.turn:
            await asyncio.sleep(SEARCH_SECONDS)
        return await super().Classify(request, context)


async def serve(replicas: int, number: int) -> None:
    """Serves until standard input ends."""
    names = identities(number)
    async with AsyncExitStack() as stack:
        for make in (
            lambda: StubProtector(dict.fromkeys(SOURCES, names)),
            lambda: StubInvader(dict.fromkeys(TARGETS, names)),
        ):
            addresses = [await stack.enter_async_context(make().serving()) for _ in range(replicas)]
            print(",".join(addresses), flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
