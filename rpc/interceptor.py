"""Turns what servicers raise into statuses; nothing else of an exception ever leaves the process."""

from __future__ import annotations  # some of gRPC's generic types are generic in their stubs only

import logging
import secrets
import traceback
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from rpc.envelope import check_envelope, image_fields, no_message
from rpc.errors import ServiceError
from rpc.logs import request_id
from rpc.status import trailers_of

logger = logging.getLogger(__name__)

REQUEST_ID_KEY = "x-request-id"
_OWN_SERVICES = "/deid."

Context = grpc.aio.ServicerContext[Any, Any]


class OwnCallsInterceptor(grpc.aio.ServerInterceptor, ABC):
    """Puts something around the handlers of this project's own services, and leaves others (health) alone."""

    parses = False  # whether messages are parsed and serialized within what is put around too

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        handler = await continuation(handler_call_details)
        method = str(handler_call_details.method)
        if handler is None or not is_own(method):
            return handler
        codec = _Codec(handler, images=image_fields(method)) if self.parses else None
        return _surrounded(handler, partial(self.around, method), codec=codec)

    @abstractmethod
    def around(self, method: str, context: Context) -> AbstractAsyncContextManager[None]:
        """What a call of `method`, `/package.Service/Name`, is handled within, from its first answer to its last."""


class ErrorInterceptor(OwnCallsInterceptor):
    """A `ServiceError` becomes its status; anything else a bug: INTERNAL with an incident id, the rest in the log.

    `disclosed` names the reasons that may leave this service; an error with another reason is treated as a bug.
    """

    parses = True

    def __init__(self, *, disclosed: frozenset[str]) -> None:
        self._disclosed = disclosed

    @asynccontextmanager
    async def around(self, method: str, context: Context) -> AsyncIterator[None]:
        _adopt_request_id(context)
        try:
            yield
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001 - the boundary: every exception ends here
            await self._abort(method, context, error)

    async def _abort(self, method: str, context: Context, error: Exception) -> None:
        if isinstance(error, ServiceError) and error.reason in self._disclosed:
            logger.info("refused", extra={"method": method, "reason": error.reason, "detail": error.message})
            await _end(context, error.code, error.message, trailers_of(error))
        incident = secrets.token_hex(8)
        facts = {"method": method, "incident": incident}
        logger.error("incident", extra=facts | {"error": type(error).__qualname__, "where": _where(error)})
        # An exception's text may hold what it was raised about: a photo's bytes, a weight, a path.
        logger.debug("incident in full", extra=facts, exc_info=error)
        await _end(context, grpc.StatusCode.INTERNAL, f"internal error, incident {incident}")


def is_own(method: str) -> bool:
    """Whether a method, `/package.Service/Name`, is of this project's own services."""
    return method.startswith(_OWN_SERVICES)


# Of each kind of call, by whether its requests and its responses are streams: the handler's field, and what makes one.
_KINDS = {
    (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler),
    (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
    (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
    (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
}


def wrapped(
    handler: grpc.RpcMethodHandler[Any, Any],
    *,
    unary: Callable[[Any], Any],
    stream: Callable[[Any], Any],
    encoded: bool = False,
) -> grpc.RpcMethodHandler[Any, Any]:
    """A handler of the same kind with something around what responds: `unary` where it has one answer, `stream` where many.

    A call with a stream of requests has an asynchronous iterator for its request. Where messages are to stay `encoded`, what
    is around parses requests, and serializes answers.
    """
    kind, make = _KINDS[bool(handler.request_streaming), bool(handler.response_streaming)]
    around = stream if handler.response_streaming else unary
    codec = (None, None) if encoded else (handler.request_deserializer, handler.response_serializer)
    return make(around(getattr(handler, kind)), *codec)


def _surrounded(
    handler: grpc.RpcMethodHandler[Any, Any],
    by: Callable[[Context], AbstractAsyncContextManager[None]],
    *,
    codec: _Codec | None,
) -> grpc.RpcMethodHandler[Any, Any]:
    parsed, serialized = (_as_it_is, _as_it_is) if codec is None else (codec.parsed, codec.serialized)

    def unary(respond: Any) -> Any:
        async def within(request: Any, context: Context) -> Any:
            async with by(context):
                return serialized(await respond(parsed(request), context))

        return within

    def stream(respond: Any) -> Any:
        async def within(request: Any, context: Context) -> Any:
            async with by(context), aclosing(respond(parsed(request), context)) as responses:
                async for response in responses:
                    yield serialized(response)

        return within

    return wrapped(handler, unary=unary, stream=stream, encoded=codec is not None)


class _Codec:
    """A handler's messages, parsed and serialized where an error can be translated: gRPC would tell the client its text."""

    def __init__(self, handler: grpc.RpcMethodHandler[Any, Any], *, images: frozenset[int] | None) -> None:
        """`images` are the fields of a request that may be large; None where its schema is not known here."""
        self._images = images
        self._streamed = bool(handler.request_streaming)
        self._deserialize: Callable[[bytes], Any] = handler.request_deserializer or _as_it_is
        self.serialized: Callable[[Any], bytes] = handler.response_serializer or _as_it_is

    def parsed(self, request: Any) -> Any:
        """A request from its bytes; a stream of them from a stream of bytes."""
        return self._each(request) if self._streamed else self._parse(request)

    async def _each(self, requests: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        async for request in requests:
            yield self._parse(request)

    def _parse(self, request: bytes) -> Any:
        if self._images is not None:
            check_envelope(request, images=self._images)
        try:
            return self._deserialize(request)
        except DecodeError as error:
            raise no_message(request) from error


def _as_it_is(message: Any) -> Any:
    return message


async def _end(
    context: Context,
    code: grpc.StatusCode,
    message: str,
    trailers: tuple[tuple[str, str | bytes], ...] = (),
) -> None:
    try:
        await context.abort(code, message, trailers)
    except grpc.aio.AbortError as end:
        # Tracing sends the traceback of whatever leaves here to a collector, and would send what it was raised from.
        raise end from None


def _where(error: Exception) -> str:
    """The line of code that raised, without what it raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


def _adopt_request_id(context: Context) -> None:
    sent = dict(context.invocation_metadata() or ()).get(REQUEST_ID_KEY, "")
    text = sent if isinstance(sent, str) else ""
    request_id.set(text if text.isalnum() and len(text) <= 64 else secrets.token_hex(8))
