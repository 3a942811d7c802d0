"""A first signal lets work end in order, a second one ends it at once, and one that is ignored is ignored."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from orchestrator.commands.interruption import SIGNALS, Interrupted, raised_signals, run

ENDING = """
import asyncio
from orchestrator.commands.interruption import run

async def work():
    try:
        print("working", flush=True)
        await asyncio.Event().wait()
    finally:
        print("ending", flush=True)
        await asyncio.Event().wait()

run(work())
"""


@contextmanager
def handled(number: int, handler: signal.Handlers) -> Iterator[None]:
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_second_signal_ends_a_process_whose_work_takes_long_to_end(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", ENDING], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        process.send_signal(number)
        assert process.stdout.readline() == "ending\n"
        while process.poll() is None:  # those that come together with the first are the same event
            process.send_signal(number)
    assert process.returncode == -number


def test_signals_that_come_together_are_one() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGHUP)
            await asyncio.Event().wait()
        finally:
            ended.append("in order")

    with handled(signal.SIGHUP, signal.SIG_DFL), pytest.raises(Interrupted, match="SIGHUP"):
        run(work())
    assert ended == ["in order"]


BLOCKED = """
import os, time
from orchestrator.commands import interruption

async def work():
    print("working", flush=True)
    os.read(0, 1)

interruption.SAME_EVENT_SECONDS = 0
interruption.run(work())
"""


def test_a_second_signal_ends_a_process_whose_loop_waits_for_something_else() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", BLOCKED], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        while process.poll() is None:
            process.send_signal(signal.SIGTERM)
    assert process.returncode == -signal.SIGTERM


def test_an_error_that_an_interruption_provokes_is_an_interruption() -> None:
    async def work() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError from None

    with handled(signal.SIGTERM, signal.SIG_DFL), pytest.raises(Interrupted, match="SIGTERM"):
        run(work())


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_cancels_the_work_which_ends_in_order(number: signal.Signals) -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("in order")

    before = signal.getsignal(number)
    with handled(number, signal.SIG_DFL), pytest.raises(Interrupted, match=f"^interrupted by {number.name}$") as stopped:
        run(work())
    assert (ended, stopped.value.exit_status) == (["in order"], 128 + number)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_is_ignored_ends_nothing(number: signal.Signals) -> None:
    async def work() -> str:
        os.kill(os.getpid(), number)
        await asyncio.sleep(0)
        return "done"

    with handled(number, signal.SIG_IGN), raised_signals():
        os.kill(os.getpid(), number)
        assert run(work()) == "done"


@pytest.mark.parametrize("number", SIGNALS)
def test_outside_of_an_event_loop_a_signal_is_raised(number: signal.Signals) -> None:
    with handled(number, signal.SIG_DFL):
        with pytest.raises(Interrupted, match=f"^interrupted by {number.name}$"), raised_signals():
            signal.raise_signal(number)
        assert signal.getsignal(number) is signal.SIG_DFL


def test_work_that_is_cancelled_by_somebody_else_is_not_interrupted() -> None:
    async def work() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run(work())
