"""What a service tells of a call that it refuses, and what it is to tell of a bad request."""

from collections.abc import Iterator, Mapping, Sequence
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

_SAID_BY_LIBRARIES = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
# The service's limit on images, or what gRPC says by itself of a larger message: in most languages, and in Rust.
TOO_LARGE = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.OUT_OF_RANGE,
)
# The service's answer, or what gRPC says by itself of bytes that are no message: in most languages, and in Java.
NOT_PARSED = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
)


@dataclass(frozen=True)
class Refusal:
    """A failed call, with all that was told."""

    call: str  # the method that was called
    code: grpc.StatusCode
    message: str
    reason: str | None  # of google.rpc.ErrorInfo
    domain: str | None  # of the same
    fields: tuple[str, ...]  # that google.rpc.BadRequest names
    retry_after_ms: int | None
    texts: tuple[str, ...]  # every text in it, wherever it stands
    unexpected: tuple[str, ...]  # details that are none of the schema's
    is_told: bool  # by the service; else our own library may have said so: nobody is there, or the call's time is over

    @property
    def comes_back(self) -> bool:
        """Whether the service only asks its client to come back later."""
        later = self.retry_after_ms is not None and self.retry_after_ms >= 0
        return self.code is grpc.StatusCode.RESOURCE_EXHAUSTED and later and self.reason in (BUSY, RATE_LIMITED, None)

    @property
    def expired(self) -> bool:
        """Whether the call's own deadline passed."""
        return self.code is grpc.StatusCode.DEADLINE_EXCEEDED and not self.is_told

    def __str__(self) -> str:
        later = "" if self.retry_after_ms is None else f" (come back in {self.retry_after_ms} ms)"
        return f"{self.call}: {self.code.name}: {self.message or 'no message'}{later}"


class Refused(Failed):
    """A call was refused that should have been answered."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"expected an answer, got {refusal}")
        self.refusal = refusal


@dataclass(frozen=True)
class BadRequest:
    """A request that is good but for some changes, and how it is to be refused."""

    what: str
    codes: tuple[grpc.StatusCode, ...]
    changes: Mapping[str, Any]  # by field
    field: str | None = None  # that google.rpc.BadRequest is to name; None where gRPC itself may refuse, without details
    reason: str | None = None  # of google.rpc.ErrorInfo

    def problems(self, got: Refusal | None) -> Iterator[str]:
        """What is wrong with how it was met; None where it was answered."""
        if got is None or got.code not in self.codes:
            codes = " or ".join(code.name for code in self.codes)
            yield f"{self.what}: expected {codes}, got {got or 'an answer'}"
            return
        if self.field is not None and not any(_is_of(named, self.field) for named in got.fields):
            named = ", ".join(got.fields) or "no field"
            yield f"{self.what}: expected google.rpc.BadRequest to name {self.field}, got {named}"
        if self.reason is not None and got.reason != self.reason:
            yield f"{self.what}: expected google.rpc.ErrorInfo with the reason {self.reason}, got {got.reason or 'none'}"
        elif self.reason is not None and got.domain != DOMAIN:
            yield f"{self.what}: expected google.rpc.ErrorInfo of the domain {DOMAIN}, got {got.domain!r}"


def invalid(what: str, field: str, *, reason: str = INVALID_ARGUMENT, **changes: Any) -> BadRequest:
    """A request that is to be refused for a field."""
    return BadRequest(what, (grpc.StatusCode.INVALID_ARGUMENT,), changes, field, reason)


def unknown_name(what: str, field: str, **changes: Any) -> BadRequest:
    """A request for what the service does not have."""
    return BadRequest(what, (grpc.StatusCode.NOT_FOUND,), changes, field, NOT_FOUND)


def _is_of(named: str, field: str) -> bool:
    """Whether a field that was named is a field, one of its places, or within it: `epsilons[1]`, `storage.jpeg.quality`."""
    return named == field or named.startswith((f"{field}[", f"{field}."))


def refusal_of(call: str, code: grpc.StatusCode, message: str, trailers: Metadata) -> Refusal:
    """Reads a failed call; what cannot be read counts as unexpected."""
    told = dict(trailers)
    texts: list[str] = [message]
    unexpected: list[str] = []
    fields: list[str] = []
    reason = domain = None
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
        call=call,
        code=code,
        message=message,
        reason=reason,
        domain=domain,
        fields=tuple(fields),
        retry_after_ms=_number(told.get(PUSHBACK_KEY)),
        texts=tuple(texts),
        unexpected=tuple(unexpected),
        is_told=STATUS_KEY in told or code not in _SAID_BY_LIBRARIES,
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


def _number(text: str | bytes | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        return None
