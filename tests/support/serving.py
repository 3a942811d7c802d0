"""A real server in this process, around handlers that a test writes."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from deid.invader.v1 import invader_pb2, invader_pb2_grpc
from deid.protector.v1 import protector_pb2

from rpc.channel import open_channel
from rpc.interceptor import ErrorInterceptor
from rpc.server import ALL_REASONS, Server

Context = grpc.aio.ServicerContext[Any, Any]
Classify = Callable[[invader_pb2.ClassifyRequest, Context], Awaitable[invader_pb2.ClassifyResponse]]
Craft = Callable[[protector_pb2.CraftRequest, Context], AsyncIterator[protector_pb2.CraftResponse]]


def _has_ipv6() -> bool:
    """Whether this machine can listen on its IPv6 loopback, which containers often cannot."""
    try:
        with socket.socket(socket.AF_INET6) as trying:
            trying.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6 loopback")


def add_handlers(server: grpc.aio.Server, *, classify: Classify | None = None, craft: Craft | None = None) -> None:
    """Adds one method of the invader and one of the protector; the others stay unimplemented."""
    if classify is not None:
        answer = grpc.unary_unary_rpc_method_handler(
            classify,
            request_deserializer=invader_pb2.ClassifyRequest.FromString,
            response_serializer=invader_pb2.ClassifyResponse.SerializeToString,
        )
        _add(server, "deid.invader.v1.InvaderService", {"Classify": answer})
    if craft is not None:
        stream = grpc.unary_stream_rpc_method_handler(
            craft,
            request_deserializer=protector_pb2.CraftRequest.FromString,
            response_serializer=protector_pb2.CraftResponse.SerializeToString,
        )
        _add(server, "deid.protector.v1.ProtectorService", {"Craft": stream})


def _add(server: grpc.aio.Server, service: str, handlers: dict[str, Any]) -> None:
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))


@asynccontextmanager
async def serving(
    *, classify: Classify | None = None, craft: Craft | None = None, disclosed: frozenset[str] = ALL_REASONS
) -> AsyncIterator[grpc.aio.Channel]:
    """A channel, as the orchestrator opens it, to a server with the error interceptor."""
    server = grpc.aio.server(interceptors=[ErrorInterceptor(disclosed=disclosed)])
    add_handlers(server, classify=classify, craft=craft)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with open_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(None)


@asynccontextmanager
async def started(server: Server, *, classify: Classify | None = None, craft: Craft | None = None) -> AsyncIterator[Server]:
    """A server of ours that answers, around handlers that a test writes."""
    add_handlers(server.grpc, classify=classify, craft=craft)
    await server.start([])
    try:
        yield server
    finally:
        await server.stop(None)


async def ask(channel: grpc.aio.Channel, **metadata: str) -> invader_pb2.ClassifyResponse:
    """One Classify call; metadata keys have hyphens for underscores."""
    stub = invader_pb2_grpc.InvaderServiceStub(channel)
    pairs = tuple((key.replace("_", "-"), value) for key, value in metadata.items())
    return await stub.Classify(invader_pb2.ClassifyRequest(), metadata=pairs, timeout=30)
