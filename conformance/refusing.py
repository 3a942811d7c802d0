"""How bad requests are to be refused."""

from collections.abc import Iterator
from dataclasses import dataclass

import grpc

from conformance.refusal import Refusal
from rpc.errors import INVALID_ARGUMENT, NOT_FOUND
from rpc.status import DOMAIN


@dataclass(frozen=True)
class Expected:
    """One bad request, and how it is to be refused."""

    what: str
    codes: tuple[grpc.StatusCode, ...]
    field: str | None = None  # that google.rpc.BadRequest is to name; None where gRPC itself may refuse, without details
    reason: str | None = None  # of google.rpc.ErrorInfo


def invalid(what: str, field: str, *, reason: str = INVALID_ARGUMENT) -> Expected:
    """A request that is to be refused for a field."""
    return Expected(what, (grpc.StatusCode.INVALID_ARGUMENT,), field, reason)


def unknown_name(what: str, field: str) -> Expected:
    """A request for what the service does not have."""
    return Expected(what, (grpc.StatusCode.NOT_FOUND,), field, NOT_FOUND)


def faults(expected: Expected, got: Refusal | None) -> Iterator[str]:
    """What is wrong with how a bad request was met."""
    codes = " or ".join(code.name for code in expected.codes)
    if got is None:
        yield f"{expected.what}: expected {codes}, got an answer"
        return
    if got.code not in expected.codes:
        yield f"{expected.what}: expected {codes}, got {got}"
        return
    if expected.field is not None and not any(_is_of(field, expected.field) for field in got.fields):
        named = ", ".join(got.fields) or "no field"
        yield f"{expected.what}: expected google.rpc.BadRequest to name {expected.field}, got {named}"
    if expected.reason is not None and got.reason != expected.reason:
        yield f"{expected.what}: expected google.rpc.ErrorInfo with the reason {expected.reason}, got {got.reason or 'none'}"
    elif expected.reason is not None and got.domain != DOMAIN:
        yield f"{expected.what}: expected google.rpc.ErrorInfo of the domain {DOMAIN}, got {got.domain!r}"


def _is_of(named: str, field: str) -> bool:
    """Whether a field that was named is a field, one of its places, or within it: `epsilons[1]`, `storage.jpeg.quality`."""
    return named == field or named.startswith((f"{field}[", f"{field}."))


LARGE_MESSAGE = bytes(20 * 2**20)  # the protocol demands 17 MiB at most
# The service's limit on images, or what gRPC says by itself of a larger message: in most languages, and in Rust.
TOO_LARGE = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.OUT_OF_RANGE,
)
MALFORMED = b"\xff\xff\xff"
# The service's answer, or what gRPC says by itself: in most languages, and in Java.
NOT_PARSED = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
)
UNKNOWN_FIELD = b"\xc2\x3e\x03new"  # field 1000, of three bytes
