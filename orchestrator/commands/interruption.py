"""Ends a command in order on Ctrl-C, when its terminal is closed, and when a scheduler stops it."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import Any, TypeVar

SAME_EVENT_SECONDS = 0.5
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

T = TypeVar("T")


class Interrupted(BaseException):
    """A signal came, and what was under way has ended in order."""

    def __init__(self, number: int, remark: str = "") -> None:
        """`remark` ends the message: how to go on."""
        super().__init__(f"interrupted by {signal.Signals(number).name}{remark}")
        self.number = number

    @property
    def exit_status(self) -> int:
        """What shells report of a process that a signal ended: 130, 143 or 129."""
        return 128 + self.number


def raised_signals() -> AbstractContextManager[None]:
    """Within it a signal raises `Interrupted` wherever the main thread is."""

    def interrupt(number: int, _: FrameType | None) -> None:
        raise Interrupted(number)

    return _handled(interrupt)


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Within it signals go to the handler; one that is ignored (`nohup`) stays so."""
    heeded = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in heeded}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def run(work: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, but the first signal cancels the work, which can then end in order; a second one ends the process.

    Raises:
        Interrupted: a signal came.
    """
    return asyncio.run(_cancelled_by_signals(work))


async def _cancelled_by_signals(work: Coroutine[Any, Any, T]) -> T:
    """What the work returns, even where a signal came too late to cancel it.

    A signal that comes together with the first does not end the process: when a terminal is closed, both the kernel and the
    shell send one.
    """
    if threading.current_thread() is not threading.main_thread():  # to which alone signals come
        return await work
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    signals: list[tuple[int, float]] = []  # number of the first, and when it came

    def on_signal(number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if not signals:
            signals.append((number, now))
            loop.call_soon_threadsafe(task.cancel)
        elif now - signals[0][1] >= SAME_EVENT_SECONDS:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    # Handlers of the process and not of the loop, which may be waiting for something else, such as a stalled pipe.
    with _handled(on_signal):
        try:
            return await work
        except BaseException as error:
            if not signals:
                raise
            raise Interrupted(signals[0][0]) from error
