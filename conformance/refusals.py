"""How a service refuses a call, and how it must refuse a bad request."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import BadRequest as FieldViolations
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from conformance.check import Failed
from rpc.errors import BUSY, INVALID_ARGUMENT, NOT_FOUND, RATE_LIMITED
from rpc.status import DOMAIN, PUSHBACK_KEY, STATUS_KEY

Metadata = Sequence[tuple[str, str | bytes]]

_RAISED_BY_LIBRARIES = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
# By the service's own limit, or by gRPC's limit on messages: in most languages, and in Rust.
TOO_LARGE = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.OUT_OF_RANGE,
)
# By the service, or by gRPC itself: in most languages, and in Java.
NOT_PARSED = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
)


@dataclass(frozen=True)
class Refusal:
    """A failed call, with everything that came with it."""

    method: str
    code: grpc.StatusCode
    message: str
    reason: str | None  # of google.rpc.ErrorInfo
    domain: str | None  # of the same
    fields: tuple[str, ...]  # that google.rpc.BadRequest names
    retry_after_ms: int | None
    texts: tuple[str, ...]  # all texts, of the status and its details
    unexpected: tuple[str, ...]  # details that the schema does not have
    from_service: bool  # else our own library may have raised it: nobody is there, or the deadline passed

    @property
    def asks_to_retry(self) -> bool:
        """Whether the service only asks the client to retry later."""
        later = self.retry_after_ms is not None and self.retry_after_ms >= 0
        return self.code is grpc.StatusCode.RESOURCE_EXHAUSTED and later and self.reason in (BUSY, RATE_LIMITED, None)

    @property
    def expired(self) -> bool:
        """Whether the call's own deadline passed."""
        return self.code is grpc.StatusCode.DEADLINE_EXCEEDED and not self.from_service

    def __str__(self) -> str:
        later = "" if self.retry_after_ms is None else f" (retry in {self.retry_after_ms} ms)"
        return f"{self.method}: {self.code.name}: {self.message or 'no message'}{later}"


class Refused(Failed):
    """A call was refused that should have been answered."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"expected an answer, got {refusal}")
        self.refusal = refusal


@dataclass(frozen=True)
class BadRequest:
    """Changes that make a valid request bad, and how it must be refused."""

    what: str
    codes: tuple[grpc.StatusCode, ...]
    changes: Mapping[str, Any]  # by field
    field: str | None = None  # that google.rpc.BadRequest must name; None where gRPC itself may refuse, without details
    reason: str | None = None  # of google.rpc.ErrorInfo

    def problems(self, got: Refusal | None) -> Iterator[str]:
        """What is wrong with a refusal; None means that the request was answered."""
        if got is None or got.code not in self.codes:
            codes = " or ".join(code.name for code in self.codes)
            yield f"{self.what}: expected {codes}, got {got or 'an answer'}"
            return
        within = (f"{self.field}[", f"{self.field}.")  # such as `epsilons[1]`, `storage.jpeg.quality`
        if self.field is not None and not any(each == self.field or each.startswith(within) for each in got.fields):
            named = ", ".join(got.fields) or "no field"
            yield f"{self.what}: expected google.rpc.BadRequest to name {self.field}, got {named}"
        if self.reason is not None and got.reason != self.reason:
            yield f"{self.what}: expected google.rpc.ErrorInfo with the reason {self.reason}, got {got.reason or 'none'}"
        elif self.reason is not None and got.domain != DOMAIN:
            yield f"{self.what}: expected google.rpc.ErrorInfo of the domain {DOMAIN}, got {got.domain!r}"


def invalid(what: str, field: str, *, reason: str = INVALID_ARGUMENT, **changes: Any) -> BadRequest:
    """A request that must be refused with INVALID_ARGUMENT for a field."""
    return BadRequest(what, (grpc.StatusCode.INVALID_ARGUMENT,), changes, field, reason)


def unknown_name(what: str, field: str, **changes: Any) -> BadRequest:
    """A request that must be refused with NOT_FOUND for a field."""
    return BadRequest(what, (grpc.StatusCode.NOT_FOUND,), changes, field, NOT_FOUND)


def refusal_of(method: str, code: grpc.StatusCode, message: str, trailers: Metadata) -> Refusal:
    """Reads a failed call; what cannot be read counts as unexpected."""
    told = dict(trailers)
    texts: list[str] = [message]
    unexpected: list[str] = []
    fields: list[str] = []
    reason = domain = None
    retry_after_ms: int | None = None
    with suppress(KeyError, ValueError):
        retry_after_ms = int(told[PUSHBACK_KEY])
    for detail in _details(told.get(STATUS_KEY), code, texts, unexpected):
        match detail:
            case ErrorInfo():
                reason, domain = str(detail.reason), str(detail.domain)
                if detail.metadata:
                    unexpected.append(f"a google.rpc.ErrorInfo with metadata of {len(detail.metadata)} keys")
                texts += [detail.reason, detail.domain, *detail.metadata.keys(), *detail.metadata.values()]
            case FieldViolations():
                fields += [violation.field for violation in detail.field_violations]
                texts += [text for violation in detail.field_violations for text in (violation.field, violation.description)]
    return Refusal(
        method=method,
        code=code,
        message=message,
        reason=reason,
        domain=domain,
        fields=tuple(fields),
        retry_after_ms=retry_after_ms,
        texts=tuple(texts),
        unexpected=tuple(unexpected),
        from_service=STATUS_KEY in told or code not in _RAISED_BY_LIBRARIES,
    )


def _details(status: str | bytes | None, code: grpc.StatusCode, texts: list[str], unexpected: list[str]) -> list[Message]:
    if status is None:
        return []
    try:
        parsed = Status.FromString(status if isinstance(status, bytes) else status.encode())
    except DecodeError:
        unexpected.append(f"{STATUS_KEY} that is no google.rpc.Status")
        return []
    if (parsed.code, parsed.message) != (code.value[0], texts[0]):
        unexpected.append(f"a google.rpc.Status that contradicts its call: {parsed.code}, {parsed.message[:60]!r}")
    texts.append(parsed.message)
    details: list[Message] = []
    for packed in parsed.details:
        for kind in (ErrorInfo(), FieldViolations()):
            if packed.Is(kind.DESCRIPTOR) and packed.Unpack(kind):
                details.append(kind)
                break
        else:
            unexpected.append(f"a detail {packed.type_url} of {len(packed.value)} bytes")
    return details
