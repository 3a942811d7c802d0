"""What the channel does by itself when a call fails."""

from typing import NoReturn

import grpc
import pytest
from deid.invader.v1 import invader_pb2

from rpc.errors import ServiceError, invalid_argument
from tests.unit.rpc.serving import Context, ask, serving

REASON = "BUSY"


class Refusing:
    """Fails so often, then answers; counts what it was asked."""

    def __init__(self, error: ServiceError, *, times: int) -> None:
        self._error = error
        self._times = times
        self.calls = 0

    async def __call__(self, request: invader_pb2.ClassifyRequest, context: Context) -> invader_pb2.ClassifyResponse:
        self.calls += 1
        if self.calls <= self._times:
            raise self._error
        return invader_pb2.ClassifyResponse(face_found=True)


def error(code: grpc.StatusCode, retry_after_ms: int | None = None) -> ServiceError:
    return ServiceError("not now", code=code, reason=REASON, retry_after_ms=retry_after_ms)


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED])
async def test_a_service_that_is_not_there_or_busy_is_asked_again(code: grpc.StatusCode) -> None:
    classify = Refusing(error(code, retry_after_ms=1), times=3)
    async with serving(classify=classify) as channel:
        assert (await ask(channel)).face_found
    assert classify.calls == 4


async def test_it_is_asked_five_times_and_no_more() -> None:
    classify = Refusing(error(grpc.StatusCode.UNAVAILABLE, retry_after_ms=1), times=9)
    async with serving(classify=classify) as channel:
        with pytest.raises(grpc.aio.AioRpcError, match="not now"):
            await ask(channel)
    assert classify.calls == 5


async def test_a_service_that_asks_not_to_be_asked_again_is_not() -> None:
    classify = Refusing(error(grpc.StatusCode.RESOURCE_EXHAUSTED, retry_after_ms=-1), times=1)
    async with serving(classify=classify) as channel:
        with pytest.raises(grpc.aio.AioRpcError, match="not now"):
            await ask(channel)
    assert classify.calls == 1


async def test_bad_input_is_not_sent_again() -> None:
    classify = Refusing(invalid_argument("k", expected="1", actual="0"), times=1)
    async with serving(classify=classify) as channel:
        with pytest.raises(grpc.aio.AioRpcError, match="expected 1, got 0"):
            await ask(channel)
    assert classify.calls == 1


async def test_a_bug_is_not_met_twice() -> None:
    calls = 0

    async def classify(request: invader_pb2.ClassifyRequest, context: Context) -> NoReturn:
        nonlocal calls
        calls += 1
        raise ValueError

    async with serving(classify=classify) as channel:
        with pytest.raises(grpc.aio.AioRpcError, match="incident"):
            await ask(channel)
    assert calls == 1
