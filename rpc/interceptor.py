"""Turns what servicers raise into statuses; nothing else of an exception ever leaves the process."""

from __future__ import annotations  # some of gRPC's generic types are generic in their stubs only

import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import grpc

from rpc.errors import ServiceError
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
        method = handler_call_details.method
        if handler is None or not str(method).startswith(_OWN_SERVICES):
            return handler
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                self._guard_stream(method, handler.unary_stream),
                handler.request_deserializer,
                handler.response_serializer,
            )
        return grpc.unary_unary_rpc_method_handler(
            self._guard(method, handler.unary_unary),
            handler.request_deserializer,
            handler.response_serializer,
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
            await context.abort(error.code, error.message, trailers_of(error))
        incident = secrets.token_hex(8)
        logger.error("incident", extra={"method": method, "incident": incident}, exc_info=error)
        await context.abort(grpc.StatusCode.INTERNAL, f"internal error, incident {incident}")


def _adopt_request_id(context: grpc.aio.ServicerContext[Any, Any]) -> None:
    sent = dict(context.invocation_metadata() or ()).get(REQUEST_ID_KEY, "")
    text = sent if isinstance(sent, str) else ""
    request_id.set(text if text.isalnum() and len(text) <= 64 else secrets.token_hex(8))
