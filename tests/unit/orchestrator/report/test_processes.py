"""The processes that figures are drawn in: how they begin, how they end, and what becomes of their failures."""

import gc
import multiprocessing
import os
import select
import signal
import subprocess
import sys
import time

import pytest
from matplotlib.figure import Figure

from orchestrator.errors import OrchestratorError
from orchestrator.report import processes
from orchestrator.report.drawing import BegunFigure, PlannedFigure
from orchestrator.report.figures.save import EncodedFigure
from orchestrator.report.processes import drawing_processes

ABANDONED = """
import os, signal, sys
from orchestrator.report import processes

if __name__ == "__main__":
    os.cpu_count = lambda: 2
    processes.PRELOADED = ()
    with processes.drawing_processes() as drawing:
        print(drawing.submit(os.getpid).result(), flush=True)
        sys.stdin.read()
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def three_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes, without matplotlib, which no test here needs."""
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    monkeypatch.setattr(processes, "PRELOADED", ())


def test_they_print_nothing_and_leave_ctrl_c_to_the_process_that_started_them(capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with drawing_processes() as drawing:
        assert drawing.submit(os.getpid).result() != os.getpid()
        assert {signal.SIGINT, signal.SIGHUP} <= drawing.submit(signal.pthread_sigmask, signal.SIG_BLOCK, ()).result()
        for descriptor in (1, 2):
            assert drawing.submit(os.write, descriptor, b"printed").result() == len(b"printed")
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
    assert capfd.readouterr() == ("", "")
    assert multiprocessing.active_children() == []


def test_an_interruption_does_not_wait_for_what_they_do() -> None:
    started = []

    def interrupted() -> None:
        with drawing_processes() as drawing:
            for _ in range(9):
                drawing.submit(time.sleep, 60)
            started.extend(multiprocessing.active_children())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [each.exitcode in (-signal.SIGKILL, -signal.SIGTERM) for each in started] == [True, True]


def test_garbage_is_collected_again_afterwards() -> None:
    with drawing_processes():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_one_that_is_killed_is_an_error_and_not_waited_for() -> None:
    with pytest.raises(OrchestratorError, match="a process that drew figures was killed"), drawing_processes() as drawing:
        drawing.submit(os._exit, 1).result()
    assert multiprocessing.active_children() == []


def test_they_end_with_the_process_that_started_them_even_if_that_is_killed() -> None:
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", ABANDONED]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        descriptor = os.pidfd_open(int(process.stdout.readline()))
    assert process.returncode == -signal.SIGKILL
    ended, _, _ = select.select([descriptor], [], [], 60)
    os.close(descriptor)
    assert ended


@pytest.mark.parametrize("error", [OSError, RuntimeError])
def test_where_none_can_be_had_figures_are_drawn_in_this_process(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(processes, "ProcessPoolExecutor", unavailable)
    with drawing_processes() as drawing:
        assert drawing.submit(os.getpid).result() == os.getpid()


def test_on_one_core_figures_are_drawn_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    with drawing_processes() as drawing:
        assert drawing.submit(os.getpid).result() == os.getpid()


def _slowly() -> EncodedFigure:
    time.sleep(60)
    raise AssertionError


def test_what_no_process_has_come_to_is_drawn_in_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    drawn: list[EncodedFigure | None] = []

    def interrupted() -> None:
        with drawing_processes() as drawing:
            figure = PlannedFigure(Figure, "figure", "")
            begun = [BegunFigure(figure, ("svg",), drawing.submit(_slowly)) for _ in range(9)]
            drawn.extend(each.drawn_here() for each in begun)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert None in drawn, "one is being drawn by the process"
    assert isinstance(drawn[-1], EncodedFigure)
