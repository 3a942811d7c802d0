"""Threads of its own, a bounded queue. Jobs wait for events, never for time."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar

import grpc
import pytest

from rpc.errors import ServiceError
from rpc.worker import Worker

LIMIT = 30.0  # seconds until a test that hangs fails


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker(max_waiting=1)
    yield worker
    worker.close()


class Gate:
    """A job that says when it runs and goes on when it is let."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> str:
        self.entered.set()
        assert self.opened.wait(LIMIT)
        return "done"

    async def wait_until_entered(self) -> None:
        assert await asyncio.to_thread(self.entered.wait, LIMIT)


async def test_a_job_s_result_comes_back(worker: Worker) -> None:
    assert await worker.run(lambda: 6 * 7) == 42


async def test_jobs_run_one_after_another_in_one_thread_that_is_not_the_loop_s() -> None:
    worker = Worker(max_waiting=30)
    ran: list[tuple[int, int]] = []

    def job(number: int) -> Callable[[], None]:
        return lambda: ran.append((number, threading.get_ident()))

    await asyncio.gather(*(worker.run(job(number)) for number in range(20)))
    assert [number for number, _ in ran] == list(range(20))
    threads = {thread for _, thread in ran}
    assert len(threads) == 1
    assert threads != {threading.get_ident()}
    worker.close()


async def test_as_many_jobs_run_at_a_time_as_there_are_workers() -> None:
    worker = Worker(max_waiting=1, workers=2)
    gates = [Gate() for _ in range(3)]
    jobs = [asyncio.create_task(worker.run(gate)) for gate in gates]
    await asyncio.gather(*(gate.wait_until_entered() for gate in gates[:2]))
    assert not gates[2].entered.is_set()
    with pytest.raises(ServiceError, match="busy: 1 requests are waiting already") as refused:
        await worker.run(lambda: None)
    assert refused.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    gates[1].opened.set()
    await gates[2].wait_until_entered()
    for gate in gates:
        gate.opened.set()
    assert await asyncio.gather(*jobs) == ["done"] * 3
    worker.close()


async def test_jobs_that_wait_are_those_beyond_the_workers() -> None:
    worker = Worker(max_waiting=2, workers=2)
    gates = [Gate() for _ in range(4)]
    waiting = [worker.waiting]
    jobs = []
    for gate in gates:
        jobs.append(asyncio.create_task(worker.run(gate)))
        await asyncio.wait(jobs[-1:], timeout=0)  # until it has been handed over
        waiting.append(worker.waiting)
    for gate in gates:
        gate.opened.set()
    await asyncio.gather(*jobs)
    worker.close()
    assert [*waiting, worker.waiting] == [0, 0, 0, 1, 2, 0]


async def test_the_event_loop_goes_on_while_a_job_runs(worker: Worker) -> None:
    gate = Gate()
    running = asyncio.create_task(worker.run(gate))
    await gate.wait_until_entered()
    assert not running.done()
    gate.opened.set()
    assert await running == "done"


async def test_a_job_beyond_the_queue_is_refused_at_once_and_told_when_to_come_back(worker: Worker) -> None:
    gate = Gate()
    jobs = [asyncio.create_task(worker.run(gate)) for _ in range(3)]
    refused, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED, timeout=LIMIT)
    assert refused == {jobs[2]}
    error = jobs[2].exception()
    assert isinstance(error, ServiceError)
    assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "BUSY")
    assert error.message == "busy: 1 requests are waiting already; try again later"
    assert error.retry_after_ms is not None
    assert error.retry_after_ms > 0
    gate.opened.set()
    assert await asyncio.gather(*jobs[:2]) == ["done", "done"]
    assert await worker.run(lambda: "there is room again") == "there is room again"


async def test_streams_and_plain_jobs_share_the_queue(worker: Worker) -> None:
    gate = Gate()
    jobs = [asyncio.create_task(worker.run(gate)) for _ in range(2)]
    await gate.wait_until_entered()
    gate.opened.set()
    await asyncio.gather(*jobs)


async def test_with_no_room_to_wait_one_job_still_runs() -> None:
    worker = Worker(max_waiting=0)
    gate = Gate()
    running = asyncio.create_task(worker.run(gate))
    await gate.wait_until_entered()
    with pytest.raises(ServiceError, match="busy: 0 requests are waiting"):
        await worker.run(lambda: None)
    gate.opened.set()
    assert await running == "done"
    worker.close()


async def test_a_job_s_exception_reaches_who_waits_for_it_and_the_next_job_runs(worker: Worker) -> None:
    def fail() -> None:
        raise ZeroDivisionError("of the job")

    with pytest.raises(ZeroDivisionError, match="of the job"):
        await worker.run(fail)
    assert await worker.run(lambda: "next") == "next"


async def test_a_running_job_keeps_its_place_when_who_waited_for_it_is_cancelled() -> None:
    worker = Worker(max_waiting=0)
    gate = Gate()
    running = asyncio.create_task(worker.run(gate))
    await gate.wait_until_entered()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    refused = asyncio.create_task(worker.run(lambda: "beside a job that still runs"))
    await asyncio.wait([refused], timeout=0)
    gate.opened.set()
    with pytest.raises(ServiceError, match="busy"):
        await refused
    worker.close()


async def test_a_job_sees_its_caller_s_context(worker: Worker) -> None:
    who: ContextVar[str] = ContextVar("who", default="nobody")
    who.set("the caller")
    assert await worker.run(who.get) == "the caller"


async def test_closing_waits_for_the_running_job() -> None:
    worker = Worker(max_waiting=1)
    gate = Gate()
    running = asyncio.create_task(worker.run(gate))
    await gate.wait_until_entered()
    closing = asyncio.create_task(asyncio.to_thread(worker.close))
    gate.opened.set()
    await closing
    assert await running == "done"
