"""What a status means for a run."""

import grpc
import pytest
from deid.invader.v1 import invader_pb2, invader_pb2_grpc

from orchestrator.errors import CallError, OrchestratorError, QueryBudgetSpentError, ThrottledError
from orchestrator.services.connection import Connection
from rpc.errors import BUSY, QUERY_BUDGET_SPENT, RATE_LIMITED, ServiceError
from rpc.images.limits import ImageLimits
from rpc.server import ALL_REASONS, Server
from tests.support.serving import Context, started

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


async def meant_by(error: ServiceError) -> OrchestratorError:
    async def classify(request: invader_pb2.ClassifyRequest, context: Context) -> invader_pb2.ClassifyResponse:
        raise error

    server = Server(address="127.0.0.1:0", limits=ImageLimits(), disclosed=ALL_REASONS | {error.reason})
    async with started(server, classify=classify):
        connection = Connection("invader", server.address, None)
        stub = invader_pb2_grpc.InvaderServiceStub(connection.channel)
        with pytest.raises(OrchestratorError) as failure:
            await connection.answer(stub.Classify(invader_pb2.ClassifyRequest(), timeout=30))
        await connection.close()
    return failure.value


@pytest.mark.parametrize(
    ("reason", "pushback"), [(BUSY, 500), (BUSY, None), (RATE_LIMITED, 0), (RATE_LIMITED, None), ("TOO_HOT", 7)]
)
async def test_a_service_that_says_later_throttles(reason: str, pushback: int | None) -> None:
    error = await meant_by(ServiceError("not now", code=EXHAUSTED, reason=reason, retry_after_ms=pushback))
    assert isinstance(error, ThrottledError)
    assert error.retry_after_ms == pushback


@pytest.mark.parametrize(
    ("code", "reason"), [(EXHAUSTED, BUSY), (EXHAUSTED, RATE_LIMITED), (grpc.StatusCode.INTERNAL, "TOO_HOT")]
)
async def test_a_service_that_says_never_is_not_asked_again(code: grpc.StatusCode, reason: str) -> None:
    error = await meant_by(ServiceError("go away", code=code, reason=reason, retry_after_ms=-1))
    assert type(error) is CallError
    assert not error.transient


@pytest.mark.parametrize(("code", "transient"), [(EXHAUSTED, True), (grpc.StatusCode.NOT_FOUND, False)])
async def test_without_a_time_to_come_back_the_status_says_whether_asking_again_can_help(
    code: grpc.StatusCode, transient: bool
) -> None:
    error = await meant_by(ServiceError("no", code=code, reason="TOO_HOT"))
    assert type(error) is CallError
    assert error.transient is transient


async def test_a_spent_budget_is_no_throttling() -> None:
    error = await meant_by(ServiceError("spent", code=EXHAUSTED, reason=QUERY_BUDGET_SPENT, retry_after_ms=-1))
    assert isinstance(error, QueryBudgetSpentError)
