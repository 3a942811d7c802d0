"""What a service tells of a call that it refuses."""

from collections.abc import Sequence
from dataclasses import dataclass

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

from conformance.check import Failed
from rpc.errors import BUSY, RATE_LIMITED
from rpc.status import PUSHBACK_KEY, STATUS_KEY

Metadata = Sequence[tuple[str, str | bytes]]

_SAID_BY_LIBRARIES = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


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
            case BadRequest():
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
        for kind in (ErrorInfo(), BadRequest()):
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
