"""Service errors on the wire: google.rpc.Status with BadRequest and ErrorInfo (grpc-status)."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from rpc.errors import ServiceError

STATUS_KEY = "grpc-status-details-bin"
PUSHBACK_KEY = "grpc-retry-pushback-ms"
DOMAIN = "deid"


def trailers_of(error: ServiceError) -> tuple[tuple[str, str | bytes], ...]:
    """The trailing metadata that carries an error's details."""
    status = Status(code=error.code.value[0], message=error.message)
    status.details.add().Pack(ErrorInfo(reason=error.reason, domain=DOMAIN))
    if (at_fault := error.violation) is not None:
        violation = BadRequest.FieldViolation(
            field=at_fault.field, description=f"expected {at_fault.expected}, got {at_fault.actual}"
        )
        status.details.add().Pack(BadRequest(field_violations=[violation]))
    trailers: list[tuple[str, str | bytes]] = [(STATUS_KEY, status.SerializeToString())]
    if error.retry_after_ms is not None:
        trailers.append((PUSHBACK_KEY, str(error.retry_after_ms)))
    return tuple(trailers)


@dataclass(frozen=True)
class ReceivedError:
    """What a client learns from a failed call."""

    code: grpc.StatusCode
    reason: str | None
    message: str
    retry_after_ms: int | None = None  # when to come back; below zero never
    fields: frozenset[str] = frozenset()  # of the request, that are not as expected


def received(error: grpc.aio.AioRpcError) -> ReceivedError:
    """Reads a failed call; details that are missing or malformed are None, or none."""
    reason, fields = None, frozenset[str]()
    with suppress(DecodeError):
        for detail in _details(error):
            info, bad_request = ErrorInfo(), BadRequest()
            if detail.Is(ErrorInfo.DESCRIPTOR) and detail.Unpack(info):
                reason = reason or str(info.reason)
            elif detail.Is(BadRequest.DESCRIPTOR) and detail.Unpack(bad_request):
                fields |= {str(violation.field) for violation in bad_request.field_violations}
    return ReceivedError(error.code(), reason, error.details() or "no message", _retry_after_ms(error), fields)


def _retry_after_ms(error: grpc.aio.AioRpcError) -> int | None:
    try:
        return int(dict(error.trailing_metadata() or ())[PUSHBACK_KEY])
    except (KeyError, ValueError):
        return None


def _details(error: grpc.aio.AioRpcError) -> Sequence[Any]:
    try:
        status = rpc_status.from_call(error)  # type: ignore[arg-type]
    except (ValueError, DecodeError):  # whatever the other side sent, the call has failed all the same
        return ()
    return status.details if status else ()
