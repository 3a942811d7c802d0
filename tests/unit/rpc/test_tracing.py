"""Spans reach a collector that the environment names; without one, there is nothing of tracing.

What is traced runs in a process of its own: OpenTelemetry's exporters are for as long as a process lives, and the end of
one is what they send their last spans at.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from rpc import tracing
from tests.support import traced_calls
from tests.support.traced_calls import SECRET

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
REPOSITORY = Path(__file__).parents[3]
CLASSIFY = "/deid.invader.v1.InvaderService/Classify"
SECONDS = 120  # until a test that hangs fails


class Collector(ThreadingHTTPServer):
    """Speaks enough of OTLP over HTTP to be sent spans, and keeps them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receiver)
        self.received: list[tuple[str, bytes]] = []


class Receiver(BaseHTTPRequestHandler):
    """Keeps what was posted."""

    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.received.append((self.path, body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class names it
        """Standard error is for what goes wrong."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield listening
        listening.shutdown()
        thread.join()


def run(**environment: str) -> list[int]:
    """What the traced calls print, in an environment with these variables of OpenTelemetry's and no others."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    command = [sys.executable, "-m", traced_calls.__name__]
    finished = subprocess.run(
        command, cwd=REPOSITORY, env=bare | environment, capture_output=True, text=True, check=True, timeout=SECONDS
    )
    return [int(number) for number in finished.stdout.split()]


class Sent(NamedTuple):
    """A span, and which program sent it."""

    service: str
    span: Span


def spans(collector: Collector) -> list[Sent]:
    requests = [ExportTraceServiceRequest.FromString(body) for _, body in collector.received]
    groups = [group for request in requests for group in request.resource_spans]
    return [
        Sent({each.key: each.value.string_value for each in group.resource.attributes}["service.name"], span)
        for group in groups
        for scope in group.scope_spans
        for span in scope.spans
    ]


def of(sent: list[Sent], kind: int) -> list[Sent]:
    """Those of a kind, in the order of their calls."""
    return sorted((each for each in sent if each.span.kind == kind), key=lambda each: each.span.start_time_unix_nano)


def grpc_code(span: Span) -> int:
    return {each.key: each.value.int_value for each in span.attributes}["rpc.grpc.status_code"]


def test_calls_reach_the_collector_as_spans_of_their_client_and_below_them_of_their_server(collector: Collector) -> None:
    run(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.server_port}")
    assert {path for path, _ in collector.received} == {"/v1/traces"}
    sent = spans(collector)
    clients, servers = of(sent, Span.SPAN_KIND_CLIENT), of(sent, Span.SPAN_KIND_SERVER)
    assert [(each.service, each.span.name) for each in clients] == [("a-caller", CLASSIFY)] * 2
    assert [(each.service, each.span.name) for each in servers] == [("a-service", CLASSIFY)] * 2
    for client, server in zip(clients, servers, strict=True):
        assert client.span.trace_id == server.span.trace_id
        assert server.span.parent_span_id == client.span.span_id
    assert [grpc_code(each.span) for each in clients] == [0, 13]
    assert [grpc_code(each.span) for each in servers] == [0, 13]


def test_nothing_of_a_bug_reaches_the_collector(collector: Collector) -> None:
    run(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"http://127.0.0.1:{collector.server_port}/spans")
    bodies = b"".join(body for _, body in collector.received)
    assert b"internal error, incident" in bodies
    assert SECRET.encode() not in bodies


def test_an_endpoint_for_traces_is_taken_as_it_is_and_a_service_s_name_from_the_environment(collector: Collector) -> None:
    endpoint = f"http://127.0.0.1:{collector.server_port}/spans"
    run(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=endpoint, OTEL_SERVICE_NAME="a-name-of-my-own")
    assert {path for path, _ in collector.received} == {"/spans"}
    assert {each.service for each in spans(collector)} == {"a-name-of-my-own"}


def test_further_channels_need_no_further_threads(collector: Collector) -> None:
    with_one, with_three = run(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.server_port}")
    assert with_three == with_one


@pytest.mark.parametrize("empty", [{}, dict.fromkeys(ENDPOINTS, "")], ids=["no variable", "an empty one"])
def test_without_a_collector_nothing_is_in_a_call_s_way(monkeypatch: pytest.MonkeyPatch, empty: dict[str, str]) -> None:
    for name in ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    for name, value in empty.items():
        monkeypatch.setenv(name, value)
    assert not tracing.is_configured()
    assert list(tracing.server_interceptors("a-service")) == []
    assert list(tracing.client_interceptors("a-caller")) == []


@pytest.mark.parametrize("name", ENDPOINTS)
def test_either_variable_names_a_collector(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for each in ENDPOINTS:
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(name, "http://127.0.0.1:4318")
    assert tracing.is_configured()
