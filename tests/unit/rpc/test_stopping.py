"""The end of a service: what asks for it, and threads that end and threads that do not."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from rpc.stopping import SAME_EVENT_SECONDS, StopSignals, close_within


async def test_everything_is_closed_in_its_order() -> None:
    closed: list[str] = []
    await close_within(
        60, lambda: closed.append("worker"), lambda: closed.append("engine"), abandon=lambda: closed.append("left")
    )
    assert closed == ["worker", "engine"]


@pytest.fixture
def hang() -> Iterator[Callable[[], None]]:
    never = threading.Event()

    def hang() -> None:
        never.wait()

    yield hang
    never.set()


async def test_a_thread_that_does_not_end_is_abandoned(hang: Callable[[], None]) -> None:
    abandoned: list[bool] = []
    await close_within(0.01, hang, abandon=lambda: abandoned.append(True))
    assert abandoned == [True]


async def test_a_thread_that_does_not_end_is_abandoned_at_once_where_asked(hang: Callable[[], None]) -> None:
    abandoned: list[bool] = []
    at_once = asyncio.Event()
    at_once.set()
    await close_within(10**6, hang, at_once=at_once, abandon=lambda: abandoned.append(True))
    assert abandoned == [True]


class Clock:
    """Seconds, wound on by a test."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_first_signal_asks_to_stop_and_a_second_one_at_once() -> None:
    clock = Clock()
    signals = StopSignals(clock=clock)
    assert not signals.asked.is_set()
    signals.signal()
    assert (signals.asked.is_set(), signals.at_once.is_set()) == (True, False)
    clock.now += SAME_EVENT_SECONDS
    signals.signal()
    assert signals.at_once.is_set()


def test_signals_that_come_together_are_one() -> None:
    clock = Clock()
    signals = StopSignals(clock=clock)
    for _ in range(3):
        signals.signal()
        clock.now += SAME_EVENT_SECONDS / 4
    assert not signals.at_once.is_set()


def test_a_signal_after_another_reason_to_stop_is_the_first() -> None:
    signals = StopSignals()
    signals.asked.set()  # standard input has ended
    signals.signal()
    assert not signals.at_once.is_set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_each_of_these_signals_is_heard(number: signal.Signals) -> None:
    signals = StopSignals()
    signals.listen()
    os.kill(os.getpid(), number)
    await asyncio.wait_for(signals.asked.wait(), 30)


async def test_a_hangup_that_was_ignored_before_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        StopSignals().listen()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
