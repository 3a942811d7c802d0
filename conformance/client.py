"""A client that can send any bytes, and records what comes back for the checks that look at all of it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2

from conformance.check import Failed, ServiceStopped, Unanswered
from conformance.refusals import Metadata, Refusal, Refused, refusal_of
from rpc.models_digest import MODELS_DIGEST_KEY

HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
LIST_SECONDS = 30.0  # deadline of a call that computes nothing, at most
CALL_SECONDS = 60.0  # default deadline of a call that computes
BUSY_SECONDS = 120.0  # that a service may be busy, since it last answered a call of the same method
MIN_WAIT_SECONDS = 0.02
ALIVE_SECONDS = 5.0  # within which a live service answers a health check
_COMPUTING = ("Craft", "Classify", "Enrol")
_WITH_MODELS_DIGEST = ("ListSourceModels", "ListTargetModels", "Craft", "Classify")


class Client:
    """Calls to one service of the schema."""

    def __init__(self, channel: grpc.aio.Channel, service: ServiceDescriptor, *, seconds: float = CALL_SECONDS) -> None:
        """`seconds` is the deadline of a call that computes."""
        self.service = service
        self.seconds = seconds
        self._channel = channel
        self._last_progress: dict[str, float] = {}  # by method: when a call was last answered or abandoned
        self.took: dict[str, float] = {}  # by method: seconds of the last answered call, without retries
        self.answers: list[Message] = []  # except streams
        self.refusals: list[Refusal] = []
        self.metadata: set[tuple[str, str | bytes]] = set()
        self.models_digests: set[str | None] = set()  # `deid-models-digest`s; None: an answer had none

    def of_another_service(self, service: ServiceDescriptor) -> "Client":
        """A client of another service of the schema at the same address; both record together what comes back."""
        other = Client(self._channel, service, seconds=self.seconds)
        other.answers, other.refusals, other.metadata = self.answers, self.refusals, self.metadata
        return other

    def message(self, method: str, **fields: Any) -> Any:
        """A request of a method."""
        return GetMessageClass(self.service.methods_by_name[method].input_type)(**fields)

    async def ask(self, method: str, **fields: Any) -> Any:
        """The answer to a call of a method that does not stream; see `answers_to`."""
        (answer,) = await self.answers_to(method, self.message(method, **fields))
        return answer

    async def answers_to(self, method: str, request: Message | bytes, *, times: int = 1) -> list[Any]:
        """All answers to a call, with a multiple of the deadline; while the service is busy, retries when it says to.

        Raises:
            Refused: it was refused.
            Failed: an answer is not a message of the schema.
            ServiceStopped: the service no longer answers.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        seconds = times * self.seconds if method in _COMPUTING else min(LIST_SECONDS, self.seconds)
        while True:
            answers = []
            asked = loop.time()
            try:
                async for each in self.bytes_of(method, request, seconds=seconds):
                    self._last_progress[method] = loop.time()
                    answers.append(_parsed(each, GetMessageClass(self.service.methods_by_name[method].output_type)))
            except Refused as refused:
                await self._raise_if_silent(refused.refusal, seconds=seconds)
                await self._wait_until_free(refused, since=began)
            else:
                self.took[method] = loop.time() - asked
                if not self._streams(method):
                    self.answers += answers
                return answers

    async def refusal(self, method: str, request: Message | bytes) -> Refusal | None:
        """How a call is refused; None if it is answered."""
        try:
            await self.answers_to(method, request)
        except Refused as refused:
            return refused.refusal
        return None

    async def abandon(self, method: str, request: Message, *, after: float, cancelled: bool) -> bool:
        """Begins a call and abandons it after some seconds: cancels it, or lets its deadline pass.

        Retries while the service is busy or limits the rate, so that it does begin. Returns whether the call was abandoned
        before it was answered.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            try:
                async with asyncio.timeout(after if cancelled else None):
                    async for _ in self.bytes_of(method, request, seconds=self.seconds if cancelled else after):
                        pass
            except TimeoutError:
                break
            except Refused as refused:
                if refused.refusal.expired:
                    break
                await self._wait_until_free(refused, since=began)
            else:
                return False
        self._last_progress[method] = loop.time()
        return True

    async def health(self, name: str) -> str:
        """The reported health of a service by its name.

        Raises:
            Refused: it was refused.
        """
        request = health_pb2.HealthCheckRequest(service=name)
        (answer,) = [each async for each in self.bytes_of("Check", request, seconds=LIST_SECONDS, service=HEALTH)]
        status = _parsed(answer, health_pb2.HealthCheckResponse).status
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(status))

    async def bytes_of(
        self, method: str, request: Message | bytes, *, seconds: float, service: str | None = None, streams: bool = False
    ) -> AsyncIterator[bytes]:
        """The answers to one call as they come; closing the generator early cancels the call.

        Args:
            method: by its name in the service.
            request: to be sent as it is.
            seconds: until the deadline.
            service: another than the schema's own, by its full name.
            streams: whether the other service's method does.

        Raises:
            Refused: it was refused.
        """
        path = f"/{service or self.service.full_name}/{method}"
        streams = streams if service else self._streams(method)
        ask: Any = self._channel.unary_stream(path) if streams else self._channel.unary_unary(path)
        call = ask(request if isinstance(request, bytes) else request.SerializeToString(), timeout=seconds)
        try:
            if streams:
                async for answer in call:
                    yield answer
            else:
                yield await call
        except grpc.aio.AioRpcError as error:
            trailing = self._keep(error.trailing_metadata())
            self._keep(error.initial_metadata())
            refusal = refusal_of(method, error.code(), error.details() or "", trailing)
            self.refusals.append(refusal)
            raise Refused(refusal) from error
        else:
            initial = self._keep(await call.initial_metadata())
            self._keep(await call.trailing_metadata())
            if method in _WITH_MODELS_DIGEST and service is None:
                self.models_digests.add(next((str(value) for key, value in initial if key == MODELS_DIGEST_KEY), None))
        finally:
            call.cancel()

    def _streams(self, method: str) -> bool:
        return bool(self.service.methods_by_name[method].server_streaming)

    def _keep(self, metadata: Any) -> Metadata:
        listed = [(str(key), value) for key, value in metadata or ()]
        self.metadata.update(listed)
        return listed

    async def _wait_until_free(self, refused: Refused, *, since: float) -> None:
        """Waits as long as a service that is busy or limits the rate says.

        Raises:
            Refused: the service does not ask to retry, or the wait would be too long.
        """
        loop = asyncio.get_running_loop()
        pause = max((refused.refusal.retry_after_ms or 0) / 1000, MIN_WAIT_SECONDS)
        until = max(since, self._last_progress.get(refused.refusal.method, since)) + BUSY_SECONDS
        if not refused.refusal.asks_to_retry or loop.time() + pause > until:
            raise refused
        await asyncio.sleep(pause)

    async def _raise_if_silent(self, refusal: Refusal, *, seconds: float) -> None:
        """Ends the check, or all checks, if the refusal is our own library's.

        Raises:
            ServiceStopped: the service does not answer a health check within `ALIVE_SECONDS` either.
            Unanswered: it does, but did not answer a call before its deadline.
        """
        if refusal.from_service:
            return
        try:
            ask: Any = self._channel.unary_unary(f"/{HEALTH}/Check")
            await ask(health_pb2.HealthCheckRequest().SerializeToString(), timeout=ALIVE_SECONDS, wait_for_ready=True)
        except grpc.aio.AioRpcError as error:
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise ServiceStopped(f"{refusal}; and no health check is answered within {ALIVE_SECONDS:g} s") from error
        if refusal.expired:
            raise Unanswered(f"{refusal.method}: expected an answer, got none within {seconds:g} s (--seconds)")


def _parsed(encoded: bytes, kind: type[Message]) -> Any:
    try:
        return kind.FromString(encoded)
    except DecodeError as error:
        raise Failed(f"expected a {kind.DESCRIPTOR.name}, got {len(encoded)} bytes that are not one") from error
