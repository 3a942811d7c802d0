"""The end of a service: what asks for it, and threads that may be in the middle of something that cannot be interrupted."""

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

SAME_EVENT_SECONDS = 0.5
IDLE_SECONDS = 0.2

logger = logging.getLogger(__name__)


class StopSignals:
    """The first signal asks a service to stop, a second one to stop at once.

    Signals that come together are one: of a terminal that is closed, both the kernel and the shell tell.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.asked = asyncio.Event()
        self.at_once = asyncio.Event()
        self._clock = clock
        self._first: float | None = None

    def listen(self) -> None:
        """From now on, in the running loop's thread, SIGTERM, SIGINT and SIGHUP are such signals.

        SIGHUP is not where it was ignored before: that is what `nohup` does.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self.signal)

    def signal(self) -> None:
        now = self._clock()
        if self._first is not None and now - self._first >= SAME_EVENT_SECONDS:
            self.at_once.set()
        self._first = now if self._first is None else self._first
        self.asked.set()


async def close_within(
    seconds: float,
    *closers: Callable[[], None],
    at_once: asyncio.Event | None = None,
    abandon: Callable[[], None] = lambda: os._exit(0),
) -> None:
    """Calls closers, which wait for threads; ends the process where that takes longer than `seconds`, or `at_once` is set.

    Nobody waits for what those threads compute: their calls were answered or given up before.
    """
    loop, closed = asyncio.get_running_loop(), asyncio.Event()

    def close() -> None:
        try:
            for closer in closers:
                closer()
        finally:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(closed.set)

    threading.Thread(target=close, name="closing", daemon=True).start()
    closing = asyncio.create_task(closed.wait())
    idle = await done_within(min(seconds, IDLE_SECONDS), closing, unless=asyncio.Event())  # threads that compute nothing
    if not idle and not await done_within(seconds, closing, unless=at_once or asyncio.Event()):
        closing.cancel()
        logger.warning("a computation was abandoned", extra={"seconds": seconds})
        logging.shutdown()
        abandon()


async def done_within(seconds: float, task: asyncio.Task[Any], *, unless: asyncio.Event) -> bool:
    """Waits for a task, for so long at most and no longer than until `unless` is set; says whether the task is done."""
    hurried = asyncio.create_task(unless.wait())
    await asyncio.wait({task, hurried}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    return task.done()
