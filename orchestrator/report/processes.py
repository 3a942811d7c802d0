"""Processes that figures are drawn in beside this one: one figure keeps one core busy, for a second and longer."""

import atexit
import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from importlib import import_module
from typing import ParamSpec, TypeVar

from orchestrator.errors import OrchestratorError

P = ParamSpec("P")
T = TypeVar("T")

MAX_PROCESSES = 4  # of 150 MB each; with more, what is left to this process takes longer than the figures
PRELOADED = ("matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg")
OF_A_TERMINAL = (signal.SIGINT, signal.SIGHUP)  # signals that it sends to all processes of a command


@contextmanager
def drawing_processes() -> Iterator[Executor]:
    """A process for each core but one, which imports matplotlib meanwhile; where there is one core, this process.

    What runs in them must only compute: on an exception, such as a signal's, they are killed. Meanwhile no garbage is
    collected: figures leave some megabytes, and to look for it takes a tenth of a report's time.

    Raises:
        OrchestratorError: one of them was killed by somebody else.
    """
    executor: Executor | None = None
    collects = gc.isenabled()
    gc.disable()
    try:
        executor = _executor(min((os.cpu_count() or 1) - 1, MAX_PROCESSES))
        yield executor
    except BaseException as error:
        for process in multiprocessing.active_children():
            process.kill()
        if not isinstance(error, BrokenProcessPool):
            raise
        memory = "as the system does to what takes more memory than there is"
        raise OrchestratorError(f"a process that drew figures was killed, {memory}") from error
    finally:
        if executor is not None:
            executor.shutdown(cancel_futures=True)
        if collects:
            gc.enable()


class ThisProcess(Executor):
    """Does at once what it is given."""

    def submit(self, call: Callable[P, T], /, *arguments: P.args, **options: P.kwargs) -> Future[T]:
        done: Future[T] = Future()
        done.set_result(call(*arguments, **options))
        return done


class OneCallEach(Executor):
    """Processes that are given a call once they are free: until then it can be cancelled, to be done here."""

    def __init__(self, processes: ProcessPoolExecutor, number: int) -> None:
        self._processes = processes  # takes one call more than it has processes
        self._threads = ThreadPoolExecutor(number)

    def submit(self, call: Callable[P, T], /, *arguments: P.args, **options: P.kwargs) -> Future[T]:
        return self._threads.submit(lambda: self._processes.submit(call, *arguments, **options).result())

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as any Executor
        for executor in (self._threads, self._processes):
            executor.shutdown(wait, cancel_futures=cancel_futures)


def _executor(number: int) -> Executor:
    if number == 0:
        return ThisProcess()
    try:
        return _processes(number)
    except (OSError, RuntimeError):  # the system gives no more processes, or has no semaphores in shared memory
        return ThisProcess()  # the same figures, later


def _processes(number: int) -> Executor:
    """Started by "spawn": this process may have threads, those of gRPC among them."""
    # Blocked while they start, signals are blocked in them for ever: this process handles them.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, OF_A_TERMINAL)
    try:
        executor = ProcessPoolExecutor(number, multiprocessing.get_context("spawn"), initializer=_initialize)
        signal.pthread_sigmask(signal.SIG_BLOCK, OF_A_TERMINAL)  # again: multiprocessing unblocks SIGINT
        for _ in range(number):
            executor.submit(_preload, PRELOADED)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return OneCallEach(executor, number)


def _initialize() -> None:
    """Prints nothing from now on, and ends with the process that started this one, however that ends."""
    gc.disable()  # see `drawing_processes`
    atexit.register(os._exit, 0)  # after what is registered later: to unload matplotlib takes a third of its import
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _preload(modules: Iterable[str]) -> None:
    for name in modules:
        import_module(name)
