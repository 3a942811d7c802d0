"""Calls by bytes, so that malformed ones can be sent too; what comes back is kept for the checks that look at all of it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health_pb2

from conformance.check import Failed, ServiceStopped, Unanswered
from conformance.refusal import Metadata, Refusal, Refused, refusal_of
from rpc.models_digest import MODELS_DIGEST_KEY

Answer = TypeVar("Answer", bound=Message)

HEALTH = "grpc.health.v1.Health"
LIST_SECONDS = 30.0  # for a call that computes nothing, at most
CALL_SECONDS = 60.0  # for one that does, unless it is told otherwise
PATIENCE_SECONDS = 120.0  # with a service that is busy, since a call of the same method was last answered
MIN_WAIT_SECONDS = 0.02
ALIVE_SECONDS = 5.0  # in which a service says something, whatever it is doing
_OFFERED = ("ListSourceModels", "Craft", "ListTargetModels", "Classify")


class Wire:
    """The connection to one service."""

    def __init__(self, channel: grpc.aio.Channel, service: str, *, seconds: float = CALL_SECONDS) -> None:
        """`channel` is one without retries; `service` is the full name of a service in the schema.

        `seconds` is the deadline of a call that computes.
        """
        self.service = service
        self.seconds = seconds
        self._channel = channel
        self._went_on: dict[str, float] = {}  # by method, when a call was last answered, or left while it was worked on
        self.took: dict[str, float] = {}  # by method, seconds of the last answered call, without what went before
        self.answers: list[Message] = []  # but for streams
        self.refusals: list[Refusal] = []
        self.metadata: set[tuple[str, str | bytes]] = set()
        self.models_digests: set[str | None] = (
            set()
        )  # what `deid-models-digest` said of answers that may have it; None where it is missing

    async def ask(
        self, method: str, request: Message | bytes, kind: type[Answer], *, seconds: float | None = None
    ) -> Answer:
        """The answer to a call; a service that is busy is asked again when it says.

        Raises:
            Refused: it was refused.
            Failed: what came is no message of the schema.
            ServiceStopped: nobody answers any more.
        """
        within = min(LIST_SECONDS, self.seconds) if seconds is None else seconds
        (answer,) = await self.stream(method, request, kind, seconds=within, streams=False)
        self.answers.append(answer)
        return answer

    async def stream(
        self,
        method: str,
        request: Message | bytes,
        kind: type[Answer],
        *,
        seconds: float | None = None,
        streams: bool = True,
    ) -> list[Answer]:
        """All answers to a call; see `ask`."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        within = self.seconds if seconds is None else seconds
        while True:
            answers = []
            asked = loop.time()
            try:
                async for each in self.bytes_of(method, request, seconds=within, streams=streams):
                    self._went_on[method] = loop.time()
                    answers.append(_parsed(each, kind))
            except Refused as refused:
                await self._raise_if_silent(refused.refusal, seconds=within)
                await self._come_back(refused, since=began)
            else:
                self.took[method] = loop.time() - asked
                return answers

    async def leave(self, method: str, request: Message, *, after: float, cancelled: bool, streams: bool = False) -> bool:
        """Begins a call and leaves it after some seconds: cancels it, or has its deadline pass.

        A service that is busy, or asked too often, is asked again when it says, so that it had the call. Whether it had it
        and had not answered it by then is returned.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            try:
                async with asyncio.timeout(after if cancelled else None):
                    within = self.seconds if cancelled else after
                    async for _ in self.bytes_of(method, request, seconds=within, streams=streams):
                        pass
            except TimeoutError:
                break
            except Refused as refused:
                if refused.refusal.expired:
                    break
                await self._come_back(refused, since=began)
            else:
                return False
        self._went_on[method] = loop.time()
        return True

    async def _come_back(self, refused: Refused, *, since: float) -> None:
        """Waits for as long as a service that is busy, or was asked too often, says.

        Raises:
            Refused: it is refused for good, or the wait would outlast the patience there is.
        """
        loop = asyncio.get_running_loop()
        pause = max((refused.refusal.retry_after_ms or 0) / 1000, MIN_WAIT_SECONDS)
        until = max(since, self._went_on.get(refused.refusal.call, since)) + PATIENCE_SECONDS
        if not refused.refusal.comes_back or loop.time() + pause > until:
            raise refused
        await asyncio.sleep(pause)

    async def _raise_if_silent(self, refusal: Refusal, *, seconds: float) -> None:
        """Ends what is being done where nothing came from the service.

        Raises:
            ServiceStopped: nor does its health within `ALIVE_SECONDS`.
            Unanswered: it lives, and did not answer a call before its deadline.
        """
        if refusal.is_told:
            return
        try:
            ask: Any = self._channel.unary_unary(f"/{HEALTH}/Check")
            await ask(health_pb2.HealthCheckRequest().SerializeToString(), timeout=ALIVE_SECONDS, wait_for_ready=True)
        except grpc.aio.AioRpcError as error:
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise ServiceStopped(f"{refusal}; nor is its health told within {ALIVE_SECONDS:g} s") from error
        if refusal.expired:
            raise Unanswered(f"{refusal.call}: expected an answer, got none within {seconds:g} s (--seconds)")

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
            initial = _listed(await call.initial_metadata())
            self._keep(initial, _listed(await call.trailing_metadata()))
            if method in _OFFERED and service is None:
                self.models_digests.add(next((str(value) for key, value in initial if key == MODELS_DIGEST_KEY), None))
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
