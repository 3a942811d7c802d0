"""Calls by bytes, so that malformed ones can be sent too; what comes back is kept for the checks that look at all of it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health_pb2

from orchestrator.conformance.check import Failed
from orchestrator.conformance.refusal import Metadata, Refusal, Refused, refusal_of

Answer = TypeVar("Answer", bound=Message)

HEALTH = "grpc.health.v1.Health"
LIST_SECONDS = 30.0
COMPUTING_SECONDS = 300.0  # for one call, on an old core
PATIENCE_SECONDS = 120.0  # with a service that is busy
SHORTEST_WAIT_SECONDS = 0.02


class Wire:
    """The connection to one service."""

    def __init__(self, channel: grpc.aio.Channel, service: str) -> None:
        """`service` is the full name of a service in the schema."""
        self.service = service
        self._channel = channel
        self.answers: list[Message] = []  # but for streams
        self.refusals: list[Refusal] = []
        self.metadata: set[tuple[str, str | bytes]] = set()

    async def ask(
        self, method: str, request: Message | bytes, kind: type[Answer], *, seconds: float = LIST_SECONDS
    ) -> Answer:
        """The answer to a call; a service that is busy is asked again when it says.

        Raises:
            Refused: it was refused.
            Failed: what came is no message of the schema.
        """
        (answer,) = await self.stream(method, request, kind, seconds=seconds, streams=False)
        self.answers.append(answer)
        return answer

    async def stream(
        self,
        method: str,
        request: Message | bytes,
        kind: type[Answer],
        *,
        seconds: float = COMPUTING_SECONDS,
        streams: bool = True,
    ) -> list[Answer]:
        """All answers to a call; see `ask`."""
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE_SECONDS
        while True:
            try:
                return [
                    _parsed(each, kind) async for each in self.bytes_of(method, request, seconds=seconds, streams=streams)
                ]
            except Refused as refused:
                if not refused.refusal.comes_back or loop.time() > until:
                    raise
                await asyncio.sleep(max((refused.refusal.retry_after_ms or 0) / 1000, SHORTEST_WAIT_SECONDS))

    async def refusal(
        self, method: str, request: Message | bytes, kind: type[Message], *, streams: bool = False
    ) -> Refusal | None:
        """How a call is refused; None where it is answered."""
        try:
            await self.stream(method, request, kind, streams=streams)
        except Refused as refused:
            return refused.refusal
        return None

    async def bytes_of(
        self, method: str, request: Message | bytes, *, seconds: float, streams: bool, service: str | None = None
    ) -> AsyncIterator[bytes]:
        """The answers to one call as they come; leaving early cancels it.

        Raises:
            Refused: it was refused.
        """
        path = f"/{service or self.service}/{method}"
        ask: Any = self._channel.unary_stream(path) if streams else self._channel.unary_unary(path)
        call = ask(request if isinstance(request, bytes) else request.SerializeToString(), timeout=seconds)
        try:
            if streams:
                async for answer in call:
                    yield answer
            else:
                yield await call
        except grpc.aio.AioRpcError as error:
            refusal = refusal_of(method, error.code(), error.details() or "", _listed(error.trailing_metadata()))
            self.refusals.append(refusal)
            self._keep(_listed(error.initial_metadata()), _listed(error.trailing_metadata()))
            raise Refused(refusal) from error
        else:
            self._keep(_listed(await call.initial_metadata()), _listed(await call.trailing_metadata()))
        finally:
            call.cancel()

    async def health(self, name: str) -> str:
        """The health that is told of a service by its name.

        Raises:
            Refused: it was refused.
        """
        request = health_pb2.HealthCheckRequest(service=name)
        answers = [
            each async for each in self.bytes_of("Check", request, seconds=LIST_SECONDS, streams=False, service=HEALTH)
        ]
        status = _parsed(answers[0], health_pb2.HealthCheckResponse).status
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(status))

    def _keep(self, *metadata: Metadata) -> None:
        for each in metadata:
            self.metadata.update(each)


def _parsed(encoded: bytes, kind: type[Answer]) -> Answer:
    try:
        return kind.FromString(encoded)
    except DecodeError as error:
        raise Failed(f"expected a {kind.DESCRIPTOR.name}, got {len(encoded)} bytes that are none") from error


def _listed(metadata: Any) -> Metadata:
    return [(str(key), value) for key, value in metadata or ()]
