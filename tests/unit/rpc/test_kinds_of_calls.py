"""The four kinds of call, with one request or a stream, one answer or a stream, through all that is around a handler."""

from __future__ import annotations  # some of gRPC's generic types are generic in their stubs only

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from deid.invader.v1 import invader_pb2
from opentelemetry.instrumentation.grpc import aio_server_interceptor
from opentelemetry.sdk.trace import TracerProvider

from rpc.errors import INVALID_ARGUMENT, invalid_argument
from rpc.images.limits import ImageLimits
from rpc.interceptor import wrapped
from rpc.metrics import Metrics
from rpc.server import Server
from rpc.status import received
from tests.support.scraping import (
    Ends,
    counted,
    scraped,
)
from tests.support.serving import Context

SERVICE = "deid.invader.v1.InvaderService"
SECONDS = 30.0  # until a test that hangs fails
SECRET = "embedding [0.1, 0.2]"
ANSWER, REFUSE, BREAK, MISTAKE, HANG = range(5)
GARBAGE = b"\xff\xff\xff"
Request, Response = invader_pb2.ClassifyRequest, invader_pb2.ClassifyResponse


class Service:
    """Each kind of method does what the last request's `k` says, and answers with the sum of all."""

    def __init__(self) -> None:
        self.entered, self.left = asyncio.Event(), asyncio.Event()

    async def one_one(self, request: Any, context: Context) -> Any:
        return await self._act(request.k, request.k)

    async def one_many(self, request: Any, context: Context) -> AsyncIterator[Any]:
        yield Response(queries_left=0)
        yield await self._act(request.k, request.k)

    async def many_one(self, requests: AsyncIterator[Any], context: Context) -> Any:
        asked = [request.k async for request in requests]
        return await self._act(asked[-1], sum(asked))

    async def many_many(self, requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
        total = 0
        async for request in requests:
            total += request.k
            yield await self._act(request.k, total)

    async def _act(self, k: int, total: int) -> Any:
        if k == REFUSE:
            raise invalid_argument("k", expected="another", actual=str(k))
        if k == BREAK:
            raise RuntimeError(SECRET)
        if k == MISTAKE:
            return SECRET  # no message at all
        if k == HANG:
            self.entered.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.left.set()
        return Response(queries_left=total)


@dataclass(frozen=True)
class Kind:
    """A kind of call, as gRPC names it on either side."""

    name: str
    make: Callable[..., grpc.RpcMethodHandler[Any, Any]]
    method: Callable[[Service], Any]

    @property
    def streams_requests(self) -> bool:
        return self.name.startswith("stream")

    @property
    def streams_responses(self) -> bool:
        return self.name.endswith("stream")

    def handler(self, service: Service) -> grpc.RpcMethodHandler[Any, Any]:
        return self.make(
            self.method(service),
            request_deserializer=Request.FromString,
            response_serializer=Response.SerializeToString,
        )

    def call(self, channel: grpc.aio.Channel, *requests: bytes) -> Any:
        """gRPC's call, of requests that are bytes already."""
        multicallable: Any = getattr(channel, self.name)(f"/{SERVICE}/Act", response_deserializer=Response.FromString)
        if not self.streams_requests:
            (request,) = requests
            return multicallable(request, timeout=SECONDS)

        async def stream() -> AsyncIterator[bytes]:
            for request in requests:
                yield request

        return multicallable(stream(), timeout=SECONDS)

    async def answers(self, call: Any) -> list[int]:
        """What all answers hold.

        Raises:
            grpc.aio.AioRpcError: the call failed.
        """
        if self.streams_responses:
            return [answer.queries_left async for answer in call]
        return [(await call).queries_left]


KINDS = (
    Kind("unary_unary", grpc.unary_unary_rpc_method_handler, lambda service: service.one_one),
    Kind("unary_stream", grpc.unary_stream_rpc_method_handler, lambda service: service.one_many),
    Kind("stream_unary", grpc.stream_unary_rpc_method_handler, lambda service: service.many_one),
    Kind("stream_stream", grpc.stream_stream_rpc_method_handler, lambda service: service.many_many),
)
each_kind = pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
traced = pytest.mark.parametrize("traced", [False, True], ids=["", "traced"])


@dataclass(frozen=True)
class Serving:
    service: Service
    metrics: Metrics
    ends: Ends
    channel: grpc.aio.Channel

    async def calls(self, *, ended: int) -> dict[str, float]:
        """What is counted once so many calls have ended for the server too."""
        await self.ends.wait(calls=ended)
        return counted(scraped(self.metrics), "deid_calls_total")


@asynccontextmanager
async def serving(kind: Kind, *, traced: bool = False) -> AsyncIterator[Serving]:
    service, ends = Service(), Ends()
    interceptors: Sequence[Any] = [ends]
    if traced:
        interceptors = [ends, aio_server_interceptor(tracer_provider=TracerProvider())]  # type: ignore[no-untyped-call]
    server = Server(address="127.0.0.1:0", limits=ImageLimits(), interceptors=interceptors)
    handlers = {"Act": kind.handler(service)}
    server.grpc.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    await server.start([])
    async with grpc.aio.insecure_channel(server.address) as channel:
        yield Serving(service, server.metrics, ends, channel)
    await server.stop(None)


def asking(k: int) -> bytes:
    return Request(k=k).SerializeToString()


def expected_answers(kind: Kind) -> list[int]:
    """Of a call with one request, of which `k` is 0."""
    return [0, 0] if kind.name == "unary_stream" else [0]


@each_kind
@traced
async def test_a_call_is_answered_and_counted(kind: Kind, traced: bool) -> None:
    async with serving(kind, traced=traced) as running:
        assert await kind.answers(kind.call(running.channel, asking(ANSWER))) == expected_answers(kind)
        assert await running.calls(ended=1) == {"code=OK method=Act": 1}


@pytest.mark.parametrize(("kind", "answers"), [(KINDS[2], [7 + 8 + 9]), (KINDS[3], [7, 15, 24])])
async def test_every_request_of_a_stream_is_read(kind: Kind, answers: list[int]) -> None:
    async with serving(kind) as running:
        assert await kind.answers(kind.call(running.channel, *map(asking, (7, 8, 9)))) == answers


@each_kind
@traced
async def test_an_error_that_is_the_client_s_is_translated_and_counted(kind: Kind, traced: bool) -> None:
    async with serving(kind, traced=traced) as running:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await kind.answers(kind.call(running.channel, asking(REFUSE)))
        told = received(failure.value)
        assert (told.code, told.reason) == (grpc.StatusCode.INVALID_ARGUMENT, INVALID_ARGUMENT)
        assert told.message == "k: expected another, got 1"
        assert await running.calls(ended=1) == {"code=INVALID_ARGUMENT method=Act": 1}


@each_kind
@traced
@pytest.mark.parametrize("bug", [BREAK, MISTAKE], ids=["raised", "an answer that is no message"])
async def test_a_bug_is_an_incident_and_nothing_of_it_leaves(kind: Kind, bug: int, traced: bool) -> None:
    async with serving(kind, traced=traced) as running:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await kind.answers(kind.call(running.channel, asking(bug)))
        assert failure.value.code() is grpc.StatusCode.INTERNAL
        assert re.fullmatch("internal error, incident [0-9a-f]{16}", failure.value.details() or "")
        assert await running.calls(ended=1) == {"code=INTERNAL method=Act": 1}


@each_kind
@traced
async def test_a_request_that_is_no_message_is_refused_as_such(kind: Kind, traced: bool) -> None:
    async with serving(kind, traced=traced) as running:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await kind.answers(kind.call(running.channel, GARBAGE))
        told = received(failure.value)
        assert (told.code, told.reason) == (grpc.StatusCode.INVALID_ARGUMENT, INVALID_ARGUMENT)
        assert told.message == "request: expected a message of the schema, got 3 other bytes"
        assert await running.calls(ended=1) == {"code=INVALID_ARGUMENT method=Act": 1}


@pytest.mark.parametrize("kind", KINDS[2:], ids=[kind.name for kind in KINDS[2:]])
async def test_a_later_request_of_a_stream_that_is_no_message_is_refused_as_such(kind: Kind) -> None:
    async with serving(kind) as running:
        with pytest.raises(grpc.aio.AioRpcError, match="expected a message of the schema, got 3 other bytes"):
            await kind.answers(kind.call(running.channel, asking(ANSWER), GARBAGE))


@each_kind
async def test_a_call_that_its_client_gives_up_ends_its_handler_and_is_counted(kind: Kind) -> None:
    async with serving(kind) as running:
        call = kind.call(running.channel, asking(HANG))
        reading = asyncio.create_task(kind.answers(call))
        await asyncio.wait_for(running.service.entered.wait(), SECONDS)
        call.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await asyncio.wait_for(running.service.left.wait(), SECONDS)
        assert await running.calls(ended=1) == {"code=CANCELLED method=Act": 1}


@each_kind
def test_a_handler_with_something_around_it_is_of_the_same_kind(kind: Kind) -> None:
    handler: Any = kind.handler(Service())
    same: Any = wrapped(handler, unary=lambda respond: respond, stream=lambda respond: respond)
    assert (same.request_streaming, same.response_streaming) == (kind.streams_requests, kind.streams_responses)
    assert getattr(same, kind.name) == getattr(handler, kind.name)
    assert same.request_deserializer is handler.request_deserializer
    assert same.response_serializer is handler.response_serializer
