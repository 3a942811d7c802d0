"""Threads for one device, with a bounded queue before them: computation never runs on the event loop."""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from rpc.errors import busy

T = TypeVar("T")

_RETRY_AFTER_MS = 500


class Worker:
    """Runs jobs in threads of its own, `workers` at a time; at most `max_waiting` jobs wait.

    A bound here, and not gRPC's on concurrent calls, because that one would refuse health checks too.
    """

    def __init__(self, *, max_waiting: int, workers: int = 1) -> None:
        self._workers = workers
        self._executor = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="device")
        self._max_waiting = max_waiting
        self._jobs = 0  # running or waiting, whether or not anyone still wants their result
        self._counting = threading.Lock()

    @property
    def waiting(self) -> int:
        return max(0, self._jobs - self._workers)

    async def run(self, job: Callable[[], T]) -> T:
        """Runs a job and returns its result.

        Raises:
            ServiceError: RESOURCE_EXHAUSTED: the queue is full.
        """
        with self._counting:
            if self._jobs >= self._max_waiting + self._workers:
                raise busy(f"{self._jobs - self._workers} requests are waiting already", retry_after_ms=_RETRY_AFTER_MS)
            self._jobs += 1
        future = self._executor.submit(contextvars.copy_context().run, job)
        future.add_done_callback(self._leave)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Waits for the running jobs, drops the waiting ones."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _leave(self, _: Future[T]) -> None:
        with self._counting:
            self._jobs -= 1
