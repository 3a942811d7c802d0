"""Metrics as a Prometheus server reads them, and when a call has ended for a service."""

import asyncio
import urllib.request
from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc
from prometheus_client.parser import text_string_to_metric_families

from rpc.interceptor import is_own, wrapped
from rpc.metrics import Metrics
from tests.support.serving import Context

LIMIT = 30.0  # seconds until a test that hangs fails
Samples = dict[tuple[str, str], float]


def scraped(metrics: Metrics) -> Samples:
    """The value of every sample, by its name and its labels."""
    port = metrics.serve(host="127.0.0.1", port=0)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=LIMIT) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {(each.name, _labels(each.labels)): each.value for family in families for each in family.samples}


def _labels(labels: Mapping[str, str]) -> str:
    return " ".join(sorted(f"{name}={value}" for name, value in labels.items()))


def counted(samples: Samples, name: str) -> dict[str, float]:
    return {labels: value for (sample, labels), value in samples.items() if sample == name}


class Ends(grpc.aio.ServerInterceptor):
    """Around all others: tells when a call has ended for them too, which its client may learn sooner."""

    def __init__(self) -> None:
        self._ended: asyncio.Queue[None] = asyncio.Queue()

    async def wait(self, *, calls: int = 1) -> None:
        for _ in range(calls):
            await asyncio.wait_for(self._ended.get(), LIMIT)

    async def intercept_service(self, continuation: Any, handler_call_details: grpc.HandlerCallDetails) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None or not is_own(str(handler_call_details.method)):
            return handler
        return wrapped(handler, unary=self._unary, stream=self._stream)

    def _unary(self, respond: Any) -> Any:
        async def told(request: object, context: Context) -> object:
            try:
                return await respond(request, context)
            finally:
                self._ended.put_nowait(None)

        return told

    def _stream(self, respond: Any) -> Any:
        async def told(request: object, context: Context) -> AsyncIterator[object]:
            try:
                async for response in respond(request, context):
                    yield response
            finally:
                self._ended.put_nowait(None)

        return told
