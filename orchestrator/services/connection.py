"""A channel to a service; statuses become this package's errors."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import grpc

from orchestrator.errors import (
    CallError,
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
from rpc.errors import BUSY, NO_FACE, QUERY_BUDGET_SPENT, RATE_LIMITED, PlainTextError
from rpc.status import received
from rpc.tls import TlsMaterial

Answer = TypeVar("Answer")

PHOTO = "photo"  # a field of CraftRequest
# What gRPC says of a message, for which it has no status of its own, with the side that found it out before it.
TOO_LARGE = "message larger than max"
ANSWER_TOO_LARGE = "CLIENT: Received"

# Statuses that the same question will meet again.
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
    """To a protector or an invader at an address."""

    def __init__(self, kind: str, address: str, tls: TlsMaterial | None) -> None:
        """`kind` is "protector" or "invader".

        Raises:
            InputError: the address is neither `host:port` nor `dns:///host:port`, or not loopback while there is no `tls`.
        """
        self.name = f"{kind} at {address}"
        self._address = address
        self._tls = tls
        try:
            self.channel = open_channel(address, tls=tls, caller="orchestrator")
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
        told = received(error)
        if told.reason == NO_FACE:
            return NoFaceError(told.message)
        if told.reason == QUERY_BUDGET_SPENT:
            return QueryBudgetSpentError(f"the {self.name} answers no more: {told.message}")
        never_again = told.retry_after_ms is not None and told.retry_after_ms < 0
        comes_back = told.code is grpc.StatusCode.RESOURCE_EXHAUSTED and told.retry_after_ms is not None
        if (told.reason in (BUSY, RATE_LIMITED) or comes_back) and not never_again:
            return ThrottledError(f"{self.name}: {told.message}", retry_after_ms=told.retry_after_ms)
        if told.code is grpc.StatusCode.UNAVAILABLE:
            why = await asyncio.to_thread(diagnose, self._address, self._tls)
            return UnreachableServiceError(f"the {self.name} does not answer: {why or told.message}")
        if told.code is grpc.StatusCode.UNIMPLEMENTED:
            return InputError(f"the {self.name} does not speak the schema: {told.message}")
        transient = told.code not in _FINAL and not never_again
        return CallError(f"{self.name}: {told.code.name}: {told.message}", transient=transient)


def photo_refusal(error: grpc.aio.AioRpcError) -> PhotoRefusedError | None:
    """Of a Craft call: that its photo was refused, by the service or, where no message may be so large, by gRPC itself."""
    told = received(error)
    if told.code is grpc.StatusCode.INVALID_ARGUMENT and PHOTO in told.fields and told.reason != NO_FACE:
        return PhotoRefusedError(told.message)
    if told.code is grpc.StatusCode.RESOURCE_EXHAUSTED and TOO_LARGE in told.message:
        # An answer may be too large for this side; that is no fault of the photo's.
        return None if ANSWER_TOO_LARGE in told.message else PhotoRefusedError(told.message)
    return None
