"""Prometheus metrics of a service, on a port of their own that nothing else is served on."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from rpc.addresses import address_of
from rpc.errors import AddressInUseError
from rpc.interceptor import Context, OwnCallsInterceptor
from rpc.settings import ServiceSettings

logger = logging.getLogger(__name__)

Photo = TypeVar("Photo")
Face = TypeVar("Face")

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


@dataclass(frozen=True)
class _PulledCounters(Collector):
    """Counters, by the value of a label, that are asked for when they are scraped."""

    name: str
    documentation: str
    label: str
    values: Callable[[], Mapping[str, float]]

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(self.name, self.documentation, labels=[self.label])
        for value_of, value in self.values().items():
            family.add_metric([value_of], value)
        yield family


class Metrics:
    """What a service counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.calls = Counter("deid_calls", "Calls that ended.", ["method", "code"], registry=self.registry)
        self.call_seconds = Histogram(
            "deid_call_seconds", "From a call's start to its end.", ["method"], buckets=_SECONDS, registry=self.registry
        )
        self._batch_rows = Histogram(
            "deid_batch_rows", "Places of a batch that were filled.", ["model"], buckets=_ROWS, registry=self.registry
        )
        self._photos = Counter("deid_photos", "Photos searched for a face.", ["face"], registry=self.registry)

    def batch(self, model: str, rows: int) -> None:
        self._batch_rows.labels(model).observe(rows)

    def counted(self, find_face: Callable[[Photo], Face | None]) -> Callable[[Photo], Face | None]:
        """A search for a face, each of whose outcomes is counted."""

        def counting(photo: Photo) -> Face | None:
            face = find_face(photo)
            self._photos.labels("missed" if face is None else "found").inc()
            return face

        return counting

    def gauge(self, name: str, documentation: str, value: Callable[[], float]) -> None:
        """A number that goes up and down, asked for at each scrape."""
        Gauge(name, documentation, registry=self.registry).set_function(value)

    def counters(self, name: str, documentation: str, label: str, values: Callable[[], Mapping[str, float]]) -> None:
        """Numbers that only go up, by the value of a label, asked for at each scrape."""
        self.registry.register(_PulledCounters(name, documentation, label, values))

    def serve(self, *, host: str, port: int) -> int:
        """Serves the metrics over HTTP, from a thread of its own, and returns the port.

        Raises:
            AddressInUseError: the port is taken, or the host is not this machine's.
        """
        try:
            server, _ = start_http_server(port, host, self.registry)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise AddressInUseError(f"cannot serve metrics on {address_of(host, port)}: {reason}") from error
        return int(server.server_port)


def serve_metrics(metrics: Metrics, settings: ServiceSettings) -> None:
    """Serves the metrics where the settings ask for it.

    Raises:
        AddressInUseError: see `Metrics.serve`.
    """
    if settings.metrics_port is not None:
        port = metrics.serve(host=settings.metrics_host, port=settings.metrics_port)
        logger.info("metrics", extra={"address": address_of(settings.metrics_host, port)})


class MetricsInterceptor(OwnCallsInterceptor):
    """Counts and times the calls of this project's own services, as the client sees them: errors are statuses by then."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    @asynccontextmanager
    async def around(self, method: str, context: Context) -> AsyncIterator[None]:
        name = method.rpartition("/")[2]
        started = time.monotonic()
        cancelled = False
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):  # the context does not know of it yet
            cancelled = True
            raise
        finally:
            code = "CANCELLED" if cancelled else _name(context.code())
            self._metrics.calls.labels(name, code).inc()
            self._metrics.call_seconds.labels(name).observe(time.monotonic() - started)


def _name(code: Any) -> str:
    """The name of what gRPC hands over: a status, its number, or nothing, which is success."""
    if not code:
        return "OK"
    if isinstance(code, grpc.StatusCode):
        return code.name
    return next((known.name for known in grpc.StatusCode if known.value[0] == code), "UNKNOWN")
