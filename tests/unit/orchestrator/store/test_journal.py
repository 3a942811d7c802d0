"""Changes that wait together are committed together, and none that was acknowledged is lost."""

import asyncio
import multiprocessing
import threading
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event

from orchestrator.metrics.observation import Observation
from orchestrator.store.changes import Change, record_failure, record_observations
from orchestrator.store.errors import StoreConflictError, StoreError, StoreUnavailableError
from orchestrator.store.journal import MAX_AT_ONCE, Journal
from orchestrator.store.records import Failure
from orchestrator.store.store import Store
from tests.support.observed import observation
from tests.support.postgres import Cluster
from tests.support.recorded import CELL
from tests.support.store_places import Place

IN_FLIGHT = 8
SECONDS = 60  # a bound that only a defect reaches


class Commits:
    """Counts the transactions that are committed."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, connection: Connection) -> None:
        self.count += connection.get_execution_options().get("writing", False)


@pytest.fixture
def commits(store: Store) -> Iterator[Commits]:
    commits = Commits()
    event.listen(Engine, "commit", commits)
    yield commits
    event.remove(Engine, "commit", commits)


def numbered(number: int) -> Observation:
    return observation(f"n{number}/1.jpg", CELL, 1 + number % 9)


def recorded(store: Store) -> set[int]:
    return {int(each.probe.partition("/")[0][1:]) for each in store.observations()}


def observing(number: int) -> Change:
    return record_observations([numbered(number)], picture_sha256="c" * 64, answers={})


async def test_what_waits_while_a_commit_is_under_way_is_committed_together(store: Store, commits: Commits) -> None:
    under_way, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slow(_: Connection, run: str) -> None:
        loop.call_soon_threadsafe(under_way.set)
        assert go_on.wait(SECONDS)

    async with Journal(store) as journal, asyncio.TaskGroup() as group:
        group.create_task(journal.write(slow))
        await under_way.wait()
        waiting = [group.create_task(journal.write(observing(n))) for n in range(2 * MAX_AT_ONCE + 1)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        go_on.set()
    assert commits.count == 1 + 3
    assert recorded(store) == set(range(2 * MAX_AT_ONCE + 1))


async def test_of_changes_that_wait_together_only_the_one_that_cannot_be_made_fails(store: Store) -> None:
    store.write(record_observations([numbered(3)], picture_sha256="e" * 64, answers={}))
    async with Journal(store) as journal:
        writes = (journal.write(observing(n)) for n in range(6))
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [*[type(None)] * 3, StoreConflictError, *[type(None)] * 2]
    assert recorded(store) == set(range(6))


async def test_a_database_that_fails_is_an_error_of_every_change_that_waited(place: Place) -> None:
    store = place.store()
    place.sql("DROP TABLE observations")
    async with Journal(store) as journal:
        writes = (journal.write(observing(n)) for n in range(3))
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StoreError] * 3


async def test_what_waits_behind_a_change_that_found_the_server_away_fails_with_it(postgres: Cluster) -> None:
    store = Store(postgres.new_database(), run="r", outage_timeout=0.2)
    postgres.stop()
    try:
        async with Journal(store) as journal:
            writes = (journal.write(observing(n)) for n in range(2 * MAX_AT_ONCE))
            outcomes = await asyncio.gather(*writes, return_exceptions=True)
    finally:
        postgres.start()
        store.close()
    assert isinstance(outcomes[0], StoreUnavailableError)
    assert all(outcome is outcomes[0] for outcome in outcomes), "one answer for all"


async def test_a_journal_that_an_error_ends_waits_for_no_server(postgres: Cluster) -> None:
    loop, waited_for = asyncio.get_running_loop(), asyncio.Event()
    writes: list[asyncio.Task[None]] = []

    def note(_: str) -> None:
        loop.call_soon_threadsafe(waited_for.set)

    store = Store(postgres.new_database(), run="r", outage_timeout=10 * SECONDS, note=note)

    async def interrupted() -> None:
        async with Journal(store) as journal:
            writes.extend(asyncio.create_task(journal.write(observing(n))) for n in range(2 * MAX_AT_ONCE))
            await waited_for.wait()
            raise KeyError

    postgres.stop()
    try:
        with pytest.raises(KeyError):
            await asyncio.wait_for(interrupted(), SECONDS)
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
    finally:
        postgres.start()
        store.close()
    assert {type(outcome) for outcome in outcomes} == {StoreUnavailableError}


async def test_a_journal_that_an_error_ends_has_committed_what_waited_where_it_can(store: Store) -> None:
    async def interrupted() -> None:
        async with Journal(store) as journal:
            writes.append(asyncio.create_task(journal.write(observing(0))))
            await asyncio.sleep(0)
            raise KeyError

    writes: list[asyncio.Task[None]] = []
    with pytest.raises(KeyError):
        await interrupted()
    assert recorded(store) == {0}
    await writes[0]


async def test_a_write_that_is_cancelled_harms_no_other(store: Store) -> None:
    async with Journal(store) as journal:
        first, second = (asyncio.create_task(journal.write(observing(n))) for n in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await second
        assert first.cancelled()
        assert recorded(store) >= {1}


async def test_a_journal_that_is_left_has_committed_what_waited(store: Store) -> None:
    async with Journal(store) as journal:
        write = asyncio.create_task(journal.write(observing(0)))
        await asyncio.sleep(0)
    assert recorded(store) == {0}
    await write


async def test_other_calls_are_made_in_the_thread_of_the_journal_and_their_errors_are_the_caller_s(store: Store) -> None:
    def call() -> str:
        return threading.current_thread().name

    def fail() -> None:
        raise StoreError("no")

    async with Journal(store) as journal:
        assert (await journal.run(call)).startswith("store")
        with pytest.raises(StoreError, match=r"^no$"):
            await journal.run(fail)
        assert await journal.run(store.subjects) == []


async def _write_many(store: Store, told: Pipe, numbers: range) -> None:
    waiting = iter(numbers)

    async def write_one_after_another(journal: Journal) -> None:
        for number in waiting:
            await journal.write(observing(number))
            told.send(number)

    async with Journal(store) as journal:
        await asyncio.gather(*(write_one_after_another(journal) for _ in range(IN_FLIGHT)))


def _write_until_killed(location: Path | str, told: Pipe) -> None:
    asyncio.run(_write_many(Store(location, run="r"), told, range(1_000_000)))


def test_a_process_that_is_killed_loses_at_most_what_it_was_not_told_is_recorded(place: Place) -> None:
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_write_until_killed, args=(place.location, sender))
    process.start()
    sender.close()
    told = {receiver.recv() for _ in range(300)}
    process.kill()
    process.join()
    try:
        while True:
            told.add(receiver.recv())
    except EOFError:
        pass
    there = recorded(place.store())
    assert there >= told
    assert len(there - told) <= IN_FLIGHT


async def test_writing_goes_on_where_the_server_is_restarted_in_the_middle(postgres: Cluster) -> None:
    store = Store(postgres.new_database(), run="r")
    receiver, sender = multiprocessing.Pipe(duplex=False)
    restarts: list[str] = []

    def restart_twice() -> None:
        with suppress(EOFError):  # writing failed
            for mode in ("immediate", "fast"):
                for _ in range(40):
                    receiver.recv()
                postgres.restart(mode=mode)
                restarts.append(mode)

    restarting = asyncio.create_task(asyncio.to_thread(restart_twice))
    try:
        await _write_many(store, sender, range(400))
    finally:
        sender.close()
        await restarting
    assert restarts == ["immediate", "fast"]
    assert len(store.observations()) == 400
    assert recorded(store) == set(range(400))
    store.close()


async def test_a_failure_is_recorded_once_where_the_answer_to_its_commit_is_lost(store: Store) -> None:
    """As where a server dies between the two: the change is made again from its beginning."""
    change = record_failure(Failure("alice/a.jpg", "craft", "INTERNAL"))
    assert store.commit([change]) == store.commit([change]) == [None]
    assert store.failures() == [Failure("alice/a.jpg", "craft", "INTERNAL")]
