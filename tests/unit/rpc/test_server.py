"""The life of a server, from binding to the end of its drain."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from deid.invader.v1 import invader_pb2, invader_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from rpc.addresses import address_of, host_and_port
from rpc.certificates import Authority
from rpc.channel import open_channel
from rpc.errors import AddressInUseError, PlainTextError, invalid_argument
from rpc.healthcheck import unhealthy
from rpc.images.limits import ImageLimits
from rpc.running_calls import is_cut_off
from rpc.server import Server
from rpc.stopping import SAME_EVENT_SECONDS, StopSignals
from rpc.tls import TlsMaterial
from tests.support.certificates import material
from tests.support.serving import Classify, Context, add_handlers, ask, needs_ipv6, started

NAME = "deid.invader.v1.InvaderService"
LIMITS = ImageLimits(max_bytes=100_000)
TLS = material(Authority.create(), "invader", server=True)
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
SECONDS = 30.0  # until a test that hangs fails


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server(address="127.0.0.1:0", limits=LIMITS)
    yield server
    await server.grpc.stop(None)


@asynccontextmanager
async def health_of(server: Server) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(server.address) as channel:
        yield health_pb2_grpc.HealthStub(channel)


async def check(server: Server, name: str) -> int:
    async with health_of(server) as health:
        answer = await health.Check(health_pb2.HealthCheckRequest(service=name), timeout=SECONDS)
    return int(answer.status)


async def test_a_started_server_is_serving_as_a_whole_and_by_its_service_s_name(server: Server) -> None:
    await server.start([NAME])
    assert await check(server, "") == SERVING
    assert await check(server, NAME) == SERVING


async def test_a_service_that_was_not_started_is_not_known_to_health(server: Server) -> None:
    await server.start([])
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await check(server, NAME)
    assert failure.value.code() is grpc.StatusCode.NOT_FOUND


async def test_port_0_takes_a_free_port_and_the_address_says_which(server: Server) -> None:
    assert server.port > 0
    assert server.address == f"127.0.0.1:{server.port}"


async def test_a_port_that_is_taken_is_an_error_that_names_it(server: Server) -> None:
    await server.start([])
    with pytest.raises(AddressInUseError, match=f"cannot listen on {server.address}: the port is taken"):
        Server(address=server.address, limits=LIMITS)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("203.0.113.1:0", "the host is not this machine's"),
        ("[2001:db8::1]:0", "the host is not this machine's"),
        ("no-such-host.invalid:0", "the host 'no-such-host.invalid' is not known here"),
        (f"{'a' * 70}.example:0", f"the host '{'a' * 70}.example' is not known here"),
    ],
)
async def test_a_host_that_cannot_be_listened_on_is_an_error_that_says_why(address: str, reason: str) -> None:
    with pytest.raises(AddressInUseError) as refused:
        Server(address=address, limits=LIMITS, tls=TLS)
    assert str(refused.value) == f"cannot listen on {address}: {reason}"


@needs_ipv6
async def test_an_ipv6_address_is_listened_on_and_printed_as_clients_take_it(capsys: pytest.CaptureFixture[str]) -> None:
    slow = Slow()
    slow.opened.set()
    server = Server(address=address_of("::1", 0), limits=LIMITS, health_port=0)
    add_handlers(server.grpc, classify=slow)
    serve = asyncio.create_task(server.serve([NAME], drain_seconds=SECONDS, stop_with_stdin=False))
    health = statuses(server)
    assert await anext(health) == SERVING
    await health.aclose()  # type: ignore[attr-defined]
    printed = capsys.readouterr().out.removeprefix("listening on ").strip()
    assert printed == f"[::1]:{server.port}"
    assert host_and_port(printed) == ("::1", server.port)
    async with open_channel(printed) as channel:
        assert (await ask(channel)).face_found
    assert await asyncio.to_thread(unhealthy, server.health_port) is None
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(serve, SECONDS)


@needs_ipv6
async def test_an_ipv6_port_that_is_taken_is_an_error_that_names_it() -> None:
    async with started(Server(address="[::1]:0", limits=LIMITS)) as server:
        with pytest.raises(AddressInUseError) as refused:
            Server(address=server.address, limits=LIMITS)
    assert str(refused.value) == f"cannot listen on {server.address}: the port is taken"


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.0.2.1", "protector", ""])
async def test_plain_text_is_served_on_loopback_only_and_the_way_out_is_said(host: str) -> None:
    with pytest.raises(PlainTextError, match="plain text is for loopback only") as refused:
        Server(address=f"{host}:0", limits=LIMITS)
    assert "--tls-certificate, --tls-key and --tls-authority" in str(refused.value)
    assert "--host 127.0.0.1" in str(refused.value)


async def test_with_certificates_a_server_listens_to_everybody() -> None:
    server = Server(address="0.0.0.0:0", limits=LIMITS, tls=TLS)
    assert server.port > 0
    await server.stop(None)


async def test_errors_are_turned_into_statuses(server: Server) -> None:
    async def classify(request: invader_pb2.ClassifyRequest, context: Context) -> invader_pb2.ClassifyResponse:
        raise invalid_argument("k", expected="1", actual="0")

    add_handlers(server.grpc, classify=classify)
    await server.start([NAME])
    async with grpc.aio.insecure_channel(server.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError, match="k: expected 1, got 0"):
            await ask(channel)


async def test_a_message_may_hold_the_largest_image_and_an_envelope_and_no_more(server: Server) -> None:
    sizes: list[int] = []

    async def classify(request: invader_pb2.ClassifyRequest, context: Context) -> invader_pb2.ClassifyResponse:
        sizes.append(len(request.image))
        return invader_pb2.ClassifyResponse()

    add_handlers(server.grpc, classify=classify)
    await server.start([NAME])
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub = invader_pb2_grpc.InvaderServiceStub(channel)
        await stub.Classify(invader_pb2.ClassifyRequest(image=bytes(LIMITS.max_bytes)), timeout=SECONDS)
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await stub.Classify(invader_pb2.ClassifyRequest(image=bytes(LIMITS.max_bytes + 2**20)), timeout=SECONDS)
    assert failure.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert sizes == [LIMITS.max_bytes]


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_a_message_that_would_inflate_is_refused_as_it_came(compression: grpc.Compression) -> None:
    entered = False

    async def classify(request: invader_pb2.ClassifyRequest, context: Context) -> invader_pb2.ClassifyResponse:
        nonlocal entered
        entered = True
        return invader_pb2.ClassifyResponse()

    inflated = 64 * 2**20
    roomy = Server(address="127.0.0.1:0", limits=ImageLimits(max_bytes=2 * inflated))  # so that its size is no reason
    async with started(roomy, classify=classify), grpc.aio.insecure_channel(roomy.address) as channel:
        stub = invader_pb2_grpc.InvaderServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await stub.Classify(invader_pb2.ClassifyRequest(image=bytes(inflated)), compression=compression, timeout=SECONDS)
    assert failure.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "is disabled" in (failure.value.details() or "")
    assert not entered


class Slow:
    """Answers once it is let."""

    def __init__(self) -> None:
        self.entered, self.opened = asyncio.Event(), asyncio.Event()

    async def __call__(self, request: invader_pb2.ClassifyRequest, context: Context) -> invader_pb2.ClassifyResponse:
        self.entered.set()
        await self.opened.wait()
        return invader_pb2.ClassifyResponse(face_found=True)


def with_invader(classify: Classify) -> Server:
    server = Server(address="127.0.0.1:0", limits=LIMITS)
    add_handlers(server.grpc, classify=classify)
    return server


async def statuses(server: Server) -> AsyncIterator[int]:
    """What health says of the service, from the time that it serves."""
    async with health_of(server) as health:
        watch = health.Watch(health_pb2.HealthCheckRequest(service=NAME), wait_for_ready=True, timeout=SECONDS)
        async for answer in watch:
            if answer.status in (SERVING, NOT_SERVING):
                yield int(answer.status)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_signal_reports_not_serving_lets_running_calls_finish_and_stops(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = Slow()
    server = with_invader(slow)
    serve = asyncio.create_task(server.serve([NAME], drain_seconds=SECONDS, stop_with_stdin=False))
    health = statuses(server)
    assert await anext(health) == SERVING
    async with grpc.aio.insecure_channel(server.address) as channel:
        running = asyncio.create_task(ask(channel))
        await slow.entered.wait()
        os.kill(os.getpid(), number)
        assert await anext(health) == NOT_SERVING
        await health.aclose()  # type: ignore[attr-defined]
        assert not serve.done()
        slow.opened.set()
        assert (await running).face_found
        await asyncio.wait_for(serve, SECONDS)
    assert capsys.readouterr().out == f"listening on {server.address}\n"


async def test_a_call_that_outlasts_the_drain_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow()
    server = with_invader(slow)
    serve = asyncio.create_task(server.serve([NAME], drain_seconds=0, stop_with_stdin=False))
    health = statuses(server)
    assert await anext(health) == SERVING
    async with grpc.aio.insecure_channel(server.address) as channel:
        running = asyncio.create_task(ask(channel))
        await slow.entered.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(serve, SECONDS)
        with pytest.raises(grpc.aio.AioRpcError):
            await running
    await health.aclose()  # type: ignore[attr-defined]


class Unwinding:
    """Takes its time to end when it is cancelled."""

    def __init__(self) -> None:
        self.entered, self.opened = asyncio.Event(), asyncio.Event()
        self.ended = False
        self.was_cut_off = False

    async def __call__(self, request: invader_pb2.ClassifyRequest, context: Context) -> invader_pb2.ClassifyResponse:
        self.entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.was_cut_off = is_cut_off()
            for _ in range(100):  # turns of the event loop, in which a server that did not wait would have stopped
                await asyncio.sleep(0)
            self.ended = True
        return invader_pb2.ClassifyResponse()


async def test_a_server_has_stopped_when_the_handlers_of_the_calls_that_it_cut_off_have_ended() -> None:
    unwinding = Unwinding()
    server = with_invader(unwinding)
    await server.start([NAME])
    async with grpc.aio.insecure_channel(server.address) as channel:
        running = asyncio.create_task(ask(channel))
        await unwinding.entered.wait()
        await server.stop(None)
        assert unwinding.ended
        assert unwinding.was_cut_off
        await asyncio.gather(running, return_exceptions=True)


async def test_a_call_that_its_client_gave_up_is_not_cut_off() -> None:
    unwinding = Unwinding()
    async with started(with_invader(unwinding)) as server, grpc.aio.insecure_channel(server.address) as channel:
        running = asyncio.create_task(ask(channel))
        await unwinding.entered.wait()
        running.cancel()
        assert await server.calls.end(SECONDS)
    assert unwinding.ended
    assert not unwinding.was_cut_off


async def test_a_handler_that_does_not_end_is_waited_for_no_longer_than_it_may_take_and_told_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    entered, opened = asyncio.Event(), asyncio.Event()

    async def classify(request: invader_pb2.ClassifyRequest, context: Context) -> invader_pb2.ClassifyResponse:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            await opened.wait()
        return invader_pb2.ClassifyResponse()

    monkeypatch.setattr("rpc.server._UNWIND_SECONDS", 0.01)
    server = with_invader(classify)
    await server.start([NAME])
    async with grpc.aio.insecure_channel(server.address) as channel:
        running = asyncio.create_task(ask(channel))
        await entered.wait()
        await server.stop(None)
        (record,) = (each for each in caplog.records if "did not end" in each.getMessage())
        assert record.__dict__["calls"] == 1
        opened.set()
        assert await server.calls.end(SECONDS)
        await asyncio.gather(running, return_exceptions=True)


class Clock:
    """Seconds, wound on by a test."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_a_second_signal_ends_the_drain_at_once() -> None:
    slow, clock = Slow(), Clock()
    server = with_invader(slow)
    server.signals = StopSignals(clock=clock)
    serve = asyncio.create_task(server.serve([NAME], drain_seconds=10**6, stop_with_stdin=False))
    health = statuses(server)
    assert await anext(health) == SERVING
    async with grpc.aio.insecure_channel(server.address) as channel:
        running = asyncio.create_task(ask(channel))
        await slow.entered.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        assert await anext(health) == NOT_SERVING
        await health.aclose()  # type: ignore[attr-defined]
        clock.now += SAME_EVENT_SECONDS
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(serve, SECONDS)
        with pytest.raises(grpc.aio.AioRpcError):
            await running


async def test_the_end_of_standard_input_stops_it_where_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(read_end) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        server = Server(address="127.0.0.1:0", limits=LIMITS)
        serve = asyncio.create_task(server.serve([NAME], drain_seconds=SECONDS, stop_with_stdin=True))
        health = statuses(server)
        assert await anext(health) == SERVING
        await health.aclose()  # type: ignore[attr-defined]
        assert not serve.done()
        os.close(write_end)
        await asyncio.wait_for(serve, SECONDS)


@pytest.mark.parametrize(("tls", "transport"), [(None, "plain text, loopback only"), (TLS, "mutual TLS")])
async def test_the_log_says_how_it_is_spoken_to(
    tls: TlsMaterial | None, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "rpc")
    server = Server(address="127.0.0.1:0", limits=LIMITS, tls=tls, health_port=0)
    serve = asyncio.create_task(server.serve([NAME], drain_seconds=0, stop_with_stdin=False))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.health_port}") as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service=NAME)
        async for answer in stub.Watch(request, wait_for_ready=True, timeout=SECONDS):
            if answer.status == SERVING:
                break
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(serve, SECONDS)
    (record,) = (record for record in caplog.records if record.getMessage() == "serving")
    assert (record.__dict__["address"], record.__dict__["transport"]) == (server.address, transport)


class Peers:
    """Answers Classify, and notes which connection each call came by; one of them can be held."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.held, self.release = asyncio.Event(), asyncio.Event()

    async def classify(self, request: invader_pb2.ClassifyRequest, context: Context) -> invader_pb2.ClassifyResponse:
        self.seen.append(context.peer())
        if request.k:
            self.held.set()
            await self.release.wait()
        return invader_pb2.ClassifyResponse()

    async def other_connection(self, channel: grpc.aio.Channel) -> str:
        """That of the first further call that came by another."""
        first = self.seen[-1]
        async with asyncio.timeout(SECONDS):
            while self.seen[-1] == first:
                await ask(channel)
        return self.seen[-1]


async def test_a_call_survives_the_end_of_its_connection_s_age_and_later_ones_come_by_another() -> None:
    peers = Peers()
    server = Server(address="127.0.0.1:0", limits=LIMITS, max_connection_age=0.2)
    async with started(server, classify=peers.classify), open_channel(server.address) as channel:
        stub = invader_pb2_grpc.InvaderServiceStub(channel)
        held = stub.Classify(invader_pb2.ClassifyRequest(k=1), timeout=SECONDS)
        await asyncio.wait_for(peers.held.wait(), SECONDS)
        first = peers.seen[0]
        assert await peers.other_connection(channel) != first
        assert not held.done()
        peers.release.set()
        assert await held == invader_pb2.ClassifyResponse()
