"""Turns what servicers raise into statuses; nothing else of an exception ever leaves the process."""

from __future__ import annotations  # some of gRPC's generic types are generic in their stubs only

import logging
import secrets
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from rpc.errors import ServiceError, invalid_argument
from rpc.logs import request_id
from rpc.status import trailers_of

logger = logging.getLogger(__name__)

REQUEST_ID_KEY = "x-request-id"
_OWN_SERVICES = "/deid."


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """A `ServiceError` becomes its status; anything else a bug: INTERNAL with an incident id, the rest in the log.

    `disclosed` names the reasons that may leave this service; an error with another reason is treated as a bug.
    """

    def __init__(self, *, disclosed: frozenset[str]) -> None:
        self._disclosed = disclosed

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wraps the handlers of this project's own services."""
        handler = await continuation(handler_call_details)
        method = str(handler_call_details.method)
        if handler is None or not is_own(method):
            return handler
        parse = _parser(handler)
        return wrapped(
            handler,
            unary=lambda respond: self._guard(method, lambda request, context: respond(parse(request), context)),
            stream=lambda respond: self._guard_stream(method, lambda request, context: respond(parse(request), context)),
            parsed=False,
        )

    def _guard(self, method: str, respond: Any) -> Any:
        async def guarded(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            _adopt_request_id(context)
            try:
                return await respond(request, context)
            except Exception as error:  # noqa: BLE001 - the boundary: every exception ends here
                await self._abort(method, context, error)

        return guarded

    def _guard_stream(self, method: str, respond: Any) -> Any:
        async def guarded(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
            _adopt_request_id(context)
            try:
                async with aclosing(respond(request, context)) as responses:
                    async for response in responses:
                        yield response
            except Exception as error:  # noqa: BLE001 - the boundary: every exception ends here
                await self._abort(method, context, error)

        return guarded

    async def _abort(self, method: str, context: grpc.aio.ServicerContext[Any, Any], error: Exception) -> None:
        if isinstance(error, grpc.aio.AbortError):
            raise error
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


def wrapped(
    handler: grpc.RpcMethodHandler[Any, Any],
    *,
    unary: Callable[[Any], Any],
    stream: Callable[[Any], Any],
    parsed: bool = True,
) -> grpc.RpcMethodHandler[Any, Any]:
    """A handler with something around its one answer, or around its stream of answers; requests come parsed or as bytes."""
    deserializer = handler.request_deserializer if parsed else None
    if handler.response_streaming:
        return grpc.unary_stream_rpc_method_handler(stream(handler.unary_stream), deserializer, handler.response_serializer)
    return grpc.unary_unary_rpc_method_handler(unary(handler.unary_unary), deserializer, handler.response_serializer)


def _parser(handler: grpc.RpcMethodHandler[Any, Any]) -> Callable[[bytes], Any]:
    """Parses a request where an error can be translated; gRPC itself tells the client the exception's text."""
    deserialize: Any = handler.request_deserializer

    def parse(request: bytes) -> Any:
        try:
            return deserialize(request)
        except DecodeError as error:
            raise invalid_argument(
                "request", expected="a message of the schema", actual=f"{len(request)} other bytes"
            ) from error

    return parse


async def _end(
    context: grpc.aio.ServicerContext[Any, Any],
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


def _adopt_request_id(context: grpc.aio.ServicerContext[Any, Any]) -> None:
    sent = dict(context.invocation_metadata() or ()).get(REQUEST_ID_KEY, "")
    text = sent if isinstance(sent, str) else ""
    request_id.set(text if text.isalnum() and len(text) <= 64 else secrets.token_hex(8))
