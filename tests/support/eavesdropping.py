"""All that leaves a service: every byte of every answer, whatever is told beside it, and its log."""

import io
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from rpc.logs import JsonFormatter

SECONDS = 60.0  # until a test that hangs fails

Metadata = Iterable[tuple[str, str | bytes]]


class Eavesdropper:
    """Asks by bytes, and keeps all that comes back."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self.evidence: list[bytes] = []
        self.statuses: Counter[str] = Counter()

    async def ask(self, method: str, request: bytes, *, stream: bool = False, metadata: Metadata = ()) -> None:
        """One call, whatever comes of it; where it is a stream, of one request."""
        asked: Any = self._channel.stream_stream(method) if stream else self._channel.unary_unary(method)
        call = asked(iter([request]) if stream else request, timeout=SECONDS, metadata=tuple(metadata))
        try:
            if stream:
                self.evidence += [answer async for answer in call]
            else:
                self.evidence.append(await call)
        except grpc.aio.AioRpcError as error:
            self.evidence += [(error.details() or "").encode(), (error.debug_error_string() or "").encode()]
        self._keep(await call.initial_metadata())
        self._keep(await call.trailing_metadata())
        self.statuses[(await call.code()).name] += 1

    def _keep(self, metadata: Metadata | None) -> None:
        for key, value in metadata or ():
            self.evidence += [key.encode(), value if isinstance(value, bytes) else value.encode()]


@contextmanager
def service_log() -> Iterator[io.StringIO]:
    """What a service that logs at "info" writes: all of this process's loggers, by the services' own formatter."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield text
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
