"""A channel to a service. Statuses become this package's errors."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import grpc

from orchestrator.errors import (
    CallError,
    GalleryEmptyError,
    GalleryGoneError,
    InputError,
    NoFaceError,
    OrchestratorError,
    PhotoRefusedError,
    QueryBudgetSpentError,
    ThrottledError,
    UnreachableServiceError,
)
from rpc.addresses import AddressError
from rpc.channel import open_channel
from rpc.diagnosis import diagnose
from rpc.errors import BUSY, GALLERY_EMPTY, NO_FACE, QUERY_BUDGET_SPENT, RATE_LIMITED, PlainTextError
from rpc.status import received
from rpc.tls import TlsMaterial

Answer = TypeVar("Answer")

PHOTO = "photo"  # a field of CraftRequest
GALLERIES = ("gallery", "base")  # fields that name one of the client's galleries
# What gRPC says of a message that is too large, after the side that refused it; it has no status of its own for this.
TOO_LARGE = "message larger than max"
ANSWER_TOO_LARGE = "CLIENT: Received"

# Statuses that the same call will meet again.
_FINAL = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
    }
)


class Connection:
    """A connection to a protector or an invader at an address."""

    def __init__(self, kind: str, address: str, tls: TlsMaterial | None, tls_name: str | None = None) -> None:
        """`kind` is "protector" or "invader"; its certificate is for `tls_name` where that is given, else for its host.

        Raises:
            InputError: the address is neither `host:port` nor `dns:///host:port`, or not loopback while there is no `tls`.
        """
        self.name = f"{kind} at {address}"
        self._address = address
        self._tls = tls
        self._tls_name = tls_name
        try:
            self.channel = open_channel(address, tls=tls, tls_name=tls_name, caller="orchestrator")
        except AddressError as error:
            raise InputError(f"--{kind}: {error}") from error
        except PlainTextError as error:
            raise InputError(
                f"--{kind}: {error}: give --tls-certificate, --tls-key and --tls-authority; `make certificates` makes them"
            ) from error

    async def close(self) -> None:
        """Closes the connection."""
        await self.channel.close()

    async def answer(self, call: Awaitable[Answer]) -> Answer:
        """The answer to a call.

        Raises:
            OrchestratorError: see `failure`.
        """
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            raise await self.failure(error) from error

    async def failure(self, error: grpc.aio.AioRpcError) -> OrchestratorError:
        """What a failed call means for a run."""
        status = received(error)
        if status.reason == NO_FACE:
            return NoFaceError(status.message)
        if status.reason == QUERY_BUDGET_SPENT:
            return QueryBudgetSpentError(f"the {self.name} answers no more: {status.message}")
        pushback = status.retry_after_ms
        never_again = pushback is not None and pushback < 0
        throttled = status.code is grpc.StatusCode.RESOURCE_EXHAUSTED and pushback is not None
        if (throttled or status.reason in (BUSY, RATE_LIMITED)) and not never_again:
            return ThrottledError(f"{self.name}: {status.message}", retry_after_ms=pushback)
        if status.code is grpc.StatusCode.UNAVAILABLE:
            why = await asyncio.to_thread(diagnose, self._address, self._tls, tls_name=self._tls_name)
            return UnreachableServiceError(f"the {self.name} does not answer: {why or status.message}")
        if status.code is grpc.StatusCode.UNIMPLEMENTED:
            return InputError(f"the {self.name} does not speak the schema: {status.message}")
        if status.code is grpc.StatusCode.NOT_FOUND and not status.fields.isdisjoint(GALLERIES):
            return GalleryGoneError(f"{self.name}: {status.message}")
        if status.reason == GALLERY_EMPTY:
            return GalleryEmptyError(f"{self.name}: {status.message}")
        transient = status.code not in _FINAL and not never_again
        return CallError(f"{self.name}: {status.code.name}: {status.message}", transient=transient)


def photo_refusal(error: grpc.aio.AioRpcError) -> PhotoRefusedError | None:
    """The refusal of its photo, if that is why a Craft call failed.

    The service refuses a photo, or gRPC does, where no message may be so large.
    """
    status = received(error)
    if status.code is grpc.StatusCode.INVALID_ARGUMENT and PHOTO in status.fields and status.reason != NO_FACE:
        return PhotoRefusedError(status.message)
    if status.code is grpc.StatusCode.RESOURCE_EXHAUSTED and TOO_LARGE in status.message:
        # An answer may be too large for this side, which is not the photo's fault.
        return None if ANSWER_TOO_LARGE in status.message else PhotoRefusedError(status.message)
    return None
