"""A server that is away is waited for once, not silently, and no longer than anybody wants to."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from orchestrator.store import outage
from orchestrator.store.errors import StoreUnavailableError
from orchestrator.store.outage import Outage, OutageTimeout

AWAY = PoolTimeoutError("no connection")
SECONDS = 60  # a bound that only a defect reaches


class Notes(list[str]):
    """What the user was told, and whether it was anything yet."""

    def __init__(self) -> None:
        super().__init__()
        self.told = threading.Event()

    def __call__(self, message: str) -> None:
        self.append(message)
        self.told.set()


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first wait already takes longer than any test."""
    monkeypatch.setattr(outage, "MIN_WAIT_SECONDS", 2 * SECONDS)
    monkeypatch.setattr(outage, "MAX_WAIT_SECONDS", 2 * SECONDS)
    monkeypatch.setattr("random.uniform", lambda _, high: high)


def test_a_wait_of_more_than_a_moment_is_told_once_and_so_is_its_end(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "NOTED_SECONDS", 0)
    monkeypatch.setattr(outage, "MIN_WAIT_SECONDS", 0)
    away = Outage(OutageTimeout("STORE", seconds=SECONDS, note=notes))
    for _ in range(3):
        away.wait(AWAY)
    assert notes == ["the store STORE does not answer; waiting for it for up to 60 s"]
    away.end()
    assert notes[1:] == ["the store answers again after 0 s"]


def test_a_moment_is_not_told(notes: Notes) -> None:
    away = Outage(OutageTimeout("STORE", seconds=SECONDS, note=notes))
    away.wait(AWAY)
    away.end()
    assert notes == []


def test_the_timeout_runs_out_once_until_something_succeeds(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "MIN_WAIT_SECONDS", 0.001)
    monkeypatch.setattr(outage, "MAX_WAIT_SECONDS", 0.001)
    once = OutageTimeout("STORE", seconds=0.01, note=notes)

    def waits() -> int:
        away, count = Outage(once), 0
        while True:
            try:
                away.wait(AWAY)
            except StoreUnavailableError:
                return count
            count += 1

    assert waits() > 0
    assert waits() == 0
    Outage(once).end()
    assert waits() > 0


@pytest.mark.usefixtures("long_waits")
def test_what_waits_fails_as_soon_as_nobody_wants_to_wait(notes: Notes) -> None:
    short = OutageTimeout("STORE", seconds=1000, note=notes)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(Outage(short).wait, AWAY)
        assert notes.told.wait(SECONDS)
        with short.suspension():
            with pytest.raises(
                StoreUnavailableError, match=r"^STORE: no answer since 20.* UTC, for 0 s: no connection: what"
            ):
                waiting.result(SECONDS)
            with short.suspension(), pytest.raises(StoreUnavailableError):
                Outage(short).wait(AWAY)
            with pytest.raises(StoreUnavailableError):
                Outage(short).wait(AWAY)
    assert len(notes) == 1, "who does not wait has nothing to tell"


@pytest.mark.usefixtures("long_waits")
def test_afterwards_a_server_is_waited_for_as_before(notes: Notes) -> None:
    long = OutageTimeout("STORE", seconds=1000, note=notes)
    with long.suspension():
        pass
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(Outage(long).wait, AWAY)
        assert notes.told.wait(SECONDS)
        assert not waiting.done()
        long.suspend()
        assert isinstance(waiting.exception(SECONDS), StoreUnavailableError)
