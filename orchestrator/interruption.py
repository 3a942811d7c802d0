"""Ctrl-C, a terminal that is closed, and a scheduler that wants its place back end a command in order."""

import asyncio
import os
import signal
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

T = TypeVar("T")


class Interrupted(BaseException):
    """A signal came, and what was under way was left in order."""

    def __init__(self, number: int, remark: str = "") -> None:
        """`remark` ends the message: how to go on."""
        super().__init__(f"interrupted by {signal.Signals(number).name}{remark}")
        self.number = number

    @property
    def exit_status(self) -> int:
        """What shells report of a process that a signal ended: 130, 143 or 129."""
        return 128 + self.number


@contextmanager
def raised_signals() -> Iterator[None]:
    """Within it a signal raises `Interrupted` wherever the main thread is; one that is ignored (`nohup`) stays so."""
    before = {number: signal.signal(number, _raise) for number in _heeded()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _heeded() -> list[signal.Signals]:
    return [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


def _raise(number: int, _: FrameType | None) -> None:
    raise Interrupted(number)


def run(work: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, but the first signal cancels the work, which can then end in order; a second one ends the process.

    Raises:
        Interrupted: a signal came.
    """
    return asyncio.run(_cancelled_by_signals(work))


async def _cancelled_by_signals(work: Coroutine[Any, Any, T]) -> T:
    if threading.current_thread() is not threading.main_thread():  # to which alone signals come
        return await work
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    came: list[int] = []

    def on_signal(number: int) -> None:
        if came:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        came.append(number)
        task.cancel()

    before = {number: signal.getsignal(number) for number in _heeded()}
    for number in before:
        loop.add_signal_handler(number, on_signal, number)
    try:
        return await work
    except asyncio.CancelledError:
        if not came:
            raise
        raise Interrupted(came[0]) from None
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
