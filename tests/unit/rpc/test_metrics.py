"""What a service counts, as a Prometheus server reads it: over HTTP, by the format's own parser."""

import asyncio
import logging
import socket
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from deid.invader.v1 import invader_pb2, invader_pb2_grpc
from deid.protector.v1 import protector_pb2, protector_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from rpc.errors import AddressInUseError, invalid_argument
from rpc.images.limits import ImageLimits
from rpc.metrics import Metrics, serve_metrics
from rpc.server import Server
from rpc.settings import ServiceSettings
from tests.support.scraping import LIMIT, Ends, counted, scraped
from tests.support.serving import Context, ask, needs_ipv6, started


class Service:
    """Fails as it is asked to by the field that says how many candidates, or which seed."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()

    async def classify(self, request: invader_pb2.ClassifyRequest, context: Context) -> invader_pb2.ClassifyResponse:
        await self._act(request.k)
        return invader_pb2.ClassifyResponse()

    async def craft(
        self, request: protector_pb2.CraftRequest, context: Context
    ) -> AsyncIterator[protector_pb2.CraftResponse]:
        yield protector_pb2.CraftResponse(epsilon=4)
        await self._act(request.seed)
        yield protector_pb2.CraftResponse(epsilon=8)

    async def _act(self, number: int) -> None:
        if number == REFUSE:
            raise invalid_argument("k", expected="another", actual=str(number))
        if number == BREAK:
            raise ZeroDivisionError
        if number == HANG:
            self.entered.set()
            await asyncio.Event().wait()


ANSWER, REFUSE, BREAK, HANG = range(4)


class Serving:
    """A service, its counts, and a channel to it."""

    def __init__(self, channel: grpc.aio.Channel, service: Service, metrics: Metrics, ends: Ends) -> None:
        self.channel, self.service, self.metrics, self.ends = channel, service, metrics, ends

    def classify(self, number: int) -> Any:
        stub: Any = invader_pb2_grpc.InvaderServiceStub(self.channel)
        return stub.Classify(invader_pb2.ClassifyRequest(k=number), timeout=LIMIT)

    def craft(self, number: int) -> Any:
        stub: Any = protector_pb2_grpc.ProtectorServiceStub(self.channel)
        return stub.Craft(protector_pb2.CraftRequest(seed=number), timeout=LIMIT)


Ask = Callable[[Serving, int], Any]  # returns gRPC's call


async def code_of(asked: Any) -> str:
    """How a call ends for its client, who reads all of it."""
    with suppress(grpc.aio.AioRpcError):
        if isinstance(asked, grpc.aio.UnaryStreamCall):
            async for _ in asked:
                pass
        else:
            await asked
    code: grpc.StatusCode = await asked.code()
    return code.name


@pytest.fixture
async def serving() -> AsyncIterator[Serving]:
    async with measured() as running:
        yield running


@asynccontextmanager
async def measured() -> AsyncIterator[Serving]:
    service, ends = Service(), Ends()
    server = Server(address="127.0.0.1:0", limits=ImageLimits(), interceptors=[ends])
    handling = started(server, classify=service.classify, craft=service.craft)
    async with handling, grpc.aio.insecure_channel(server.address) as channel:
        yield Serving(channel, service, server.metrics, ends)


each_kind = pytest.mark.parametrize(
    ("call", "method"), [(Serving.classify, "Classify"), (Serving.craft, "Craft")], ids=["one answer", "a stream"]
)


@each_kind
async def test_a_call_that_ends_is_counted_by_method_and_status(serving: Serving, call: Ask, method: str) -> None:
    codes = [await code_of(call(serving, number)) for number in (ANSWER, REFUSE, REFUSE, BREAK)]
    assert codes == ["OK", "INVALID_ARGUMENT", "INVALID_ARGUMENT", "INTERNAL"]
    await serving.ends.wait(calls=4)
    samples = scraped(serving.metrics)
    assert counted(samples, "deid_calls_total") == {
        f"code=OK method={method}": 1,
        f"code=INVALID_ARGUMENT method={method}": 2,
        f"code=INTERNAL method={method}": 1,
    }
    assert counted(samples, "deid_call_seconds_count") == {f"method={method}": 4}


@each_kind
async def test_a_call_that_its_client_gave_up_is_counted_as_cancelled(serving: Serving, call: Ask, method: str) -> None:
    asked = call(serving, HANG)
    await asyncio.wait_for(serving.service.entered.wait(), LIMIT)
    assert asked.cancel()
    await serving.ends.wait()
    samples = scraped(serving.metrics)
    assert counted(samples, "deid_calls_total") == {f"code=CANCELLED method={method}": 1}
    assert counted(samples, "deid_call_seconds_count") == {f"method={method}": 1}


async def test_a_status_that_a_servicer_sends_itself_is_counted_by_its_name() -> None:
    async def classify(request: invader_pb2.ClassifyRequest, context: Context) -> invader_pb2.ClassifyResponse:
        await context.abort(grpc.StatusCode.DATA_LOSS, "by the servicer's own hand")
        return invader_pb2.ClassifyResponse()

    ends = Ends()
    server = Server(address="127.0.0.1:0", limits=ImageLimits(), interceptors=[ends])
    async with started(server, classify=classify), grpc.aio.insecure_channel(server.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await ask(channel)
        await ends.wait()
    assert counted(scraped(server.metrics), "deid_calls_total") == {"code=DATA_LOSS method=Classify": 1}


async def test_a_call_takes_the_time_from_its_start_to_its_end(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 103.5])
    monkeypatch.setattr("rpc.metrics.time", SimpleNamespace(monotonic=lambda: next(clock)))
    await serving.classify(ANSWER)
    await serving.ends.wait()
    samples = scraped(serving.metrics)
    assert samples["deid_call_seconds_sum", "method=Classify"] == 3.5
    assert samples["deid_call_seconds_bucket", "le=2.5 method=Classify"] == 0
    assert samples["deid_call_seconds_bucket", "le=5.0 method=Classify"] == 1


async def test_health_checks_are_not_counted(serving: Serving) -> None:
    health: Any = health_pb2_grpc.HealthStub(serving.channel)  # its stubs do not name its methods
    await health.Check(health_pb2.HealthCheckRequest(), timeout=LIMIT)
    await serving.classify(ANSWER)
    await serving.ends.wait()
    assert counted(scraped(serving.metrics), "deid_calls_total") == {"code=OK method=Classify": 1}


async def test_a_method_that_is_not_there_is_refused_and_not_counted(serving: Serving) -> None:
    stub = invader_pb2_grpc.InvaderServiceStub(serving.channel)
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await stub.ListTargetModels(invader_pb2.ListTargetModelsRequest(), timeout=LIMIT)
    assert failure.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert counted(scraped(serving.metrics), "deid_calls_total") == {}


def test_a_batch_is_counted_by_its_model_and_the_rows_that_it_filled() -> None:
    metrics = Metrics()
    metrics.batch("senet50", 3)
    metrics.batch("senet50", 8)
    metrics.batch("facenet", 1)
    samples = scraped(metrics)
    assert counted(samples, "deid_batch_rows_count") == {"model=senet50": 2, "model=facenet": 1}
    assert counted(samples, "deid_batch_rows_sum") == {"model=senet50": 11, "model=facenet": 1}
    assert samples["deid_batch_rows_bucket", "le=2.0 model=senet50"] == 0
    assert samples["deid_batch_rows_bucket", "le=4.0 model=senet50"] == 1


def test_photos_are_counted_by_whether_a_face_was_found() -> None:
    metrics = Metrics()
    find_face = metrics.counted({"a portrait": "a face", "a landscape": None}.__getitem__)
    assert [find_face(photo) for photo in ("a portrait", "a landscape", "a portrait")] == ["a face", None, "a face"]
    assert counted(scraped(metrics), "deid_photos_total") == {"face=found": 2, "face=missed": 1}


def test_what_goes_up_and_down_is_asked_for_at_each_scrape() -> None:
    waiting = [1, 2]
    metrics = Metrics()
    metrics.gauge("deid_queue_depth", "Photos that wait.", lambda: len(waiting))
    assert scraped(metrics)["deid_queue_depth", ""] == 2
    waiting.clear()
    assert scraped(metrics)["deid_queue_depth", ""] == 0


def test_what_only_goes_up_is_asked_for_by_the_value_of_its_label() -> None:
    computed = {"senet50": 5}
    metrics = Metrics()
    metrics.counters("deid_gradients", "Image gradients.", "model", lambda: computed)
    assert counted(scraped(metrics), "deid_gradients_total") == {"model=senet50": 5}
    computed |= {"senet50": 6, "facenet": 1}
    assert counted(scraped(metrics), "deid_gradients_total") == {"model=senet50": 6, "model=facenet": 1}


def test_two_services_in_a_process_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.counted(lambda photo: photo)("a face")
    assert counted(scraped(other), "deid_photos_total") == {}


def test_a_port_that_is_taken_is_an_error_that_names_it() -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(AddressInUseError, match=f"cannot serve metrics on 127.0.0.1:{port}: Address already in use"):
            Metrics().serve(host="127.0.0.1", port=port)


def test_a_host_that_is_not_this_machine_s_is_an_error_that_names_it() -> None:
    with pytest.raises(AddressInUseError, match=r"cannot serve metrics on 203\.0\.113\.1:0"):
        Metrics().serve(host="203.0.113.1", port=0)


@pytest.mark.parametrize("host", ["no-such-host.invalid", f"{'a' * 70}.example"])
def test_a_host_that_is_not_known_is_an_error_that_names_it(host: str) -> None:
    with pytest.raises(AddressInUseError, match=f"cannot serve metrics on {host}:0: "):
        Metrics().serve(host=host, port=0)


@needs_ipv6
def test_metrics_are_served_on_an_ipv6_address(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "rpc")
    serve_metrics(Metrics(), ServiceSettings(metrics_host="[::1]", metrics_port=0))
    (record,) = caplog.records
    assert record.__dict__["address"].startswith("[::1]:")
    with urllib.request.urlopen(f"http://{record.__dict__['address']}/metrics", timeout=LIMIT) as answer:
        assert b"deid_calls" in answer.read()


def test_metrics_are_served_where_the_settings_ask_for_it_and_the_log_says_where(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "rpc")
    metrics = Metrics()
    metrics.counted(lambda photo: photo)("a face")
    serve_metrics(metrics, ServiceSettings(metrics_port=0))
    (record,) = caplog.records
    with urllib.request.urlopen(f"http://{record.__dict__['address']}/metrics", timeout=LIMIT) as answer:
        assert b'deid_photos_total{face="found"} 1.0' in answer.read()


def test_metrics_are_not_served_where_no_port_is_given(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "rpc")

    class Unserved(Metrics):
        def serve(self, *, host: str, port: int) -> int:
            raise AssertionError(f"served on {host}:{port}")

    serve_metrics(Unserved(), ServiceSettings())
    assert caplog.records == []
