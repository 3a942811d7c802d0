"""A query budget outlives the process that counts it."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import grpc
import pytest
from deid.invader.v1 import invader_pb2, invader_pb2_grpc

from rpc.channel import open_channel
from rpc.status import received
from tests.support.drawn_faces import draw_face, jpeg
from tests.support.processes import service_process

BUDGET = 5
REQUEST = invader_pb2.ClassifyRequest(image=jpeg(draw_face(0, side=64)), target_models=["compact-facenet"], k=1)


async def classify(address: str) -> invader_pb2.ClassifyResponse:
    async with open_channel(address) as channel:
        return await invader_pb2_grpc.InvaderServiceStub(channel).Classify(REQUEST, timeout=60)


async def test_one_query_too_many_is_refused_by_a_new_process_after_the_first_was_killed(tmp_path: Path) -> None:
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
    assert told.message == f"the budget of {BUDGET} queries is spent"


def refused(*starts: Sequence[str]) -> list[str]:
    """The line that each start of an invader ends with, by its arguments; all in one interpreter."""
    script = f"""
import sys
from invader_service.__main__ import main

for arguments in {starts!r}:
    sys.argv = ["invader-service", *arguments]
    try:
        main()
    except SystemExit as ended:
        assert ended.code == 2
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
    return ended.stderr.splitlines()


def test_a_start_without_a_ledger_for_a_budget_or_with_a_file_that_cannot_be_written_ends_with_its_reason(
    tmp_path: Path,
) -> None:
    budget, ledger, audit_log = refused(
        ("--query-budget", "100"), ("--ledger", str(tmp_path)), ("--audit-log", str(tmp_path))
    )
    assert budget == "invader-service: --query-budget: expected --ledger FILE or URL beside it, to survive a restart"
    assert ledger.startswith(f"invader-service: --ledger: {tmp_path}: ")
    assert audit_log.startswith(f"invader-service: --audit-log: {tmp_path}: ")
