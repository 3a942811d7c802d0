"""The end of a service, with threads that end and threads that do not."""

import threading

from rpc.stopping import close_within


def test_everything_is_closed_in_its_order() -> None:
    closed: list[str] = []
    close_within(60, lambda: closed.append("worker"), lambda: closed.append("engine"), abandon=lambda: closed.append("left"))
    assert closed == ["worker", "engine"]


def test_a_thread_that_does_not_end_is_abandoned() -> None:
    never = threading.Event()
    abandoned: list[bool] = []

    def hang() -> None:
        never.wait()

    close_within(0.01, hang, abandon=lambda: abandoned.append(True))
    never.set()
    assert abandoned == [True]
