"""OpenTelemetry tracing by its official gRPC instrumentation, where the standard environment variables ask for it.

OTEL_EXPORTER_OTLP_ENDPOINT (or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) names a collector that speaks OTLP over HTTP; the other
OTEL_* variables mean what its specification says. Without them nothing of it is imported.
"""

import os
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def is_configured() -> bool:
    """Whether the environment names a collector."""
    return any(os.environ.get(name) for name in _ENDPOINTS)


def server_interceptors(service: str) -> Sequence[grpc.aio.ServerInterceptor]:
    """What a server needs in order to be traced; nothing where tracing is not configured."""
    if not is_configured():
        return ()
    from opentelemetry.instrumentation.grpc import aio_server_interceptor

    return (aio_server_interceptor(tracer_provider=_provider(service)),)  # type: ignore[no-untyped-call]


def client_interceptors(service: str) -> Sequence[Any]:
    """What a channel needs in order to be traced; nothing where tracing is not configured."""
    if not is_configured():
        return ()
    from opentelemetry.instrumentation.grpc import aio_client_interceptors

    interceptors: list[Any] = aio_client_interceptors(  # type: ignore[no-untyped-call]
        tracer_provider=_provider(service)
    )
    return interceptors


@cache
def _provider(service: str) -> "TracerProvider":
    """One in a process, because each has a thread; it sends what it still holds when the interpreter ends."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: service}
    provider = TracerProvider(resource=Resource.create(named))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
