"""A query budget outlives the process that counts it."""

import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from deid.invader.v1 import invader_pb2, invader_pb2_grpc

from rpc.channel import open_channel
from rpc.status import received
from tests.support.drawn_faces import draw_face, jpeg
from tests.support.processes import service_process

BUDGET = 100
REQUEST = invader_pb2.ClassifyRequest(image=jpeg(draw_face(0, side=64)), target_models=["compact-facenet"], k=1)


async def classify(address: str) -> invader_pb2.ClassifyResponse:
    async with open_channel(address) as channel:
        return await invader_pb2_grpc.InvaderServiceStub(channel).Classify(REQUEST, timeout=60)


async def test_the_101st_query_is_refused_by_a_new_process_after_the_first_was_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    arguments = ("--query-budget", str(BUDGET), "--ledger", str(tmp_path / "ledger"))
    with service_process("invader_service", *arguments, log=log) as service:
        left = [(await classify(service.address)).queries_left for _ in range(BUDGET)]
        service.process.kill()
        service.process.wait()
    assert left == list(range(BUDGET - 1, -1, -1))
    with service_process("invader_service", *arguments, log=log) as service, pytest.raises(grpc.aio.AioRpcError) as failure:
        await classify(service.address)
    told = received(failure.value)
    assert (told.code, told.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUERY_BUDGET_SPENT")
    assert told.message == "the budget of 100 queries is spent"


def refused(*arguments: str) -> str:
    command = [sys.executable, "-m", "invader_service", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    return line


def test_a_budget_without_a_ledger_is_refused_at_once() -> None:
    assert refused("--query-budget", "100") == (
        "invader-service: --query-budget: expected --ledger FILE beside it, to survive a restart"
    )


@pytest.mark.parametrize("option", ["--ledger", "--audit-log"])
def test_a_file_that_cannot_be_written_ends_the_start_with_its_name(option: str, tmp_path: Path) -> None:
    assert refused(option, str(tmp_path)).startswith(f"invader-service: {option}: {tmp_path}: ")
