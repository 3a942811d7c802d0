"""The errors that a service may tell its client. Code raises them; one interceptor turns them into a status."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import grpc

from command_line.errors import OperatorError

INVALID_ARGUMENT = "INVALID_ARGUMENT"
NO_FACE = "NO_FACE"
NOT_FOUND = "NOT_FOUND"
BUSY = "BUSY"
IDENTITIES_NOT_LISTED = "IDENTITIES_NOT_LISTED"
QUERY_BUDGET_SPENT = "QUERY_BUDGET_SPENT"
RATE_LIMITED = "RATE_LIMITED"
TOO_SLOW = "TOO_SLOW"
ALREADY_ENROLLED = "ALREADY_ENROLLED"
GALLERY_EMPTY = "GALLERY_EMPTY"
GALLERY_LIMIT = "GALLERY_LIMIT"
GALLERY_NOT_SEALED = "GALLERY_NOT_SEALED"
GALLERY_SEALED = "GALLERY_SEALED"
GALLERY_REASONS = frozenset({ALREADY_ENROLLED, GALLERY_EMPTY, GALLERY_LIMIT, GALLERY_NOT_SEALED, GALLERY_SEALED})

NEVER_AGAIN = -1  # as a time to come back

_NAMES_SHOWN = 10
_MAX_TEXT = 120  # characters


@dataclass(frozen=True)
class FieldViolation:
    """A request field that is not as expected; `actual` repeats what came, shortened."""

    field: str
    expected: str
    actual: str

    def __str__(self) -> str:
        return f"{self.field}: expected {self.expected}, got {self.actual}"


class DeidRpcError(OperatorError):
    """Root of this package's errors."""


class AddressInUseError(DeidRpcError):
    """The address to listen on cannot be had."""


class PlainTextError(DeidRpcError):
    """Plain text was asked for where others could listen."""


class ServiceError(DeidRpcError):
    """A failure that is the client's to know. Its message reaches the client word for word."""

    def __init__(
        self,
        message: str,
        *,
        code: "grpc.StatusCode",
        reason: str,
        violation: FieldViolation | None = None,
        retry_after_ms: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason
        self.violation = violation
        self.retry_after_ms = retry_after_ms


def invalid_argument(field: str, *, expected: str, actual: str, reason: str = INVALID_ARGUMENT) -> ServiceError:
    """The request's field is not as expected."""
    violation = FieldViolation(field, expected, actual)
    return ServiceError(str(violation), code=_status("INVALID_ARGUMENT"), reason=reason, violation=violation)


def not_found(field: str, name: str, *, known: Collection[str] = ()) -> ServiceError:
    """The request names something that the service does not have; a few known names show the way out."""
    listed = sorted(known)
    expected = f"one of {', '.join(listed)}" if 0 < len(listed) <= _NAMES_SHOWN else "a name that the service lists"
    violation = FieldViolation(field, expected, quoted(name))
    return ServiceError(str(violation), code=_status("NOT_FOUND"), reason=NOT_FOUND, violation=violation)


def busy(why: str, *, retry_after_ms: int) -> ServiceError:
    """The service has as much to do as it takes on."""
    return ServiceError(
        f"busy: {why}; try again later",
        code=_status("RESOURCE_EXHAUSTED"),
        reason=BUSY,
        retry_after_ms=retry_after_ms,
    )


def too_slow(seconds: float) -> ServiceError:
    """A request took longer than the service allows one."""
    return ServiceError(
        f"the request took more than the {seconds:g} s that this service allows one",
        code=_status("DEADLINE_EXCEEDED"),
        reason=TOO_SLOW,
    )


def _status(name: str) -> "grpc.StatusCode":
    import grpc  # only now: whoever decodes pictures without a service, such as a report, needs none of it

    return grpc.StatusCode[name]


def quoted(text: str) -> str:
    """A text that came, in quotes and shortened: of a long one the rest is not even looked at."""
    return shorten(repr(text[:_MAX_TEXT]))


def shorten(text: str, *, most: int = _MAX_TEXT) -> str:
    """At most `most` characters of a text, an ellipsis where something is missing."""
    return text if len(text) <= most else text[: most - 1] + "…"
