"""A process of its own that serves and calls itself, traced where its environment asks for it, and ends.

It prints how many threads it has with one channel, and with three.
"""

import asyncio
import threading
from contextlib import suppress

import grpc
from deid.invader.v1 import invader_pb2

from rpc.channel import open_channel
from rpc.images.limits import ImageLimits
from rpc.server import Server
from rpc.tracing import server_interceptors
from tests.support.serving import Context, ask, started

SECRET = "embedding [0.1, 0.2]"


async def classify(request: invader_pb2.ClassifyRequest, context: Context) -> invader_pb2.ClassifyResponse:
    """Answers who says that it wants an answer; meets a bug for others."""
    if ("answer", "please") in tuple(context.invocation_metadata() or ()):
        return invader_pb2.ClassifyResponse(face_found=True)
    raise ValueError(SECRET)


async def main() -> None:
    """One call that is answered, and one that fails."""
    interceptors = server_interceptors("a-service")
    server = Server(address="127.0.0.1:0", limits=ImageLimits(), interceptors=interceptors)
    async with started(server, classify=classify), open_channel(server.address, caller="a-caller") as channel:
        await ask(channel, answer="please")
        threads = threading.active_count()
        async with open_channel(server.address, caller="a-caller"), open_channel(server.address, caller="a-caller"):
            print(threads, threading.active_count())  # noqa: T201
        with suppress(grpc.aio.AioRpcError):
            await ask(channel)


if __name__ == "__main__":
    asyncio.run(main())
