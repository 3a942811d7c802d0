"""A store that cannot be read or written says so in one line, with the way out, and is none the worse."""

import contextlib
import multiprocessing
import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.pool import Pool

from orchestrator.errors import OrchestratorError
from orchestrator.store import database
from orchestrator.store.changes import Change, record_cloak, record_observations, record_subject
from orchestrator.store.errors import StoreError, StoreUnavailableError
from orchestrator.store.records import SubjectStatus
from orchestrator.store.store import Store
from tests.support.observed import observation
from tests.support.postgres import Cluster
from tests.support.recorded import CELL, CLOAK, OF_ALICE, SUBJECT, content, drawn, fill

SECONDS = 60  # a bound that only a defect reaches


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "observations.sqlite"


@pytest.fixture
def little_room() -> Iterator[None]:
    """SQLite files that have room for the tables and some rows: as on a disk that fills up."""

    def bound(connection: Any, _: object) -> None:
        connection.execute("PRAGMA max_page_count = 40")

    event.listen(Pool, "connect", bound)
    yield
    event.remove(Pool, "connect", bound)


def test_a_file_that_is_no_database_is_an_error_of_one_line(path: Path) -> None:
    path.write_text("these are notes, and no database at all\n" * 100)
    with pytest.raises(StoreError) as failure:
        Store(path, run="r")
    expected = f"{path}: file is not a database: expected the SQLite file of a store; move it away, or name another"
    assert str(failure.value) == expected
    assert isinstance(failure.value, OrchestratorError)
    assert path.read_text().startswith("these are notes")


def test_a_database_that_is_damaged_is_told_from_one_that_is_none(path: Path, opened: Callable[..., Store]) -> None:
    store = opened(path)
    for number in range(400):
        store.write(record_subject(drawn(f"n{number}", SubjectStatus.SUBJECT)))
    store.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))
    with pytest.raises(StoreError, match=r"malformed: it is damaged; put back a copy, or move it away and begin anew$"):
        opened(path).subjects()


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=f"^{tmp_path}: unable to open database file: expected a file in a folder that"):
        Store(tmp_path, run="r")


@pytest.mark.usefixtures("little_room")
def test_a_disk_that_is_full_costs_nothing_that_was_recorded(path: Path, opened: Callable[..., Store]) -> None:
    store, recorded = opened(path), 0

    def filling(number: int) -> Change:
        seen = [observation(f"n{number}/1.jpg", CELL, 1)]
        return record_observations(seen, picture_sha256="c" * 64, answers={"resnet50": "bob"})

    def fill_up() -> None:
        nonlocal recorded
        for number in range(10_000):
            store.write(
                record_observations(
                    [observation(f"n{number}/1.jpg", CELL, 1)], picture_sha256="c" * 64, answers={"resnet50": "bob"}
                )
            )
            recorded += 1

    with pytest.raises(StoreError) as failure:
        fill_up()
    assert str(failure.value) == (
        f"{path}: database or disk is full: the disk is full; make room: what was recorded before is safe, and the same "
        f"command goes on"
    )
    assert recorded > 10
    assert len(store.observations()) == recorded
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_store_that_another_process_keeps_locked_says_so(
    path: Path, opened: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LOCK_SECONDS", 0.05)
    store = opened(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as another:
        another.execute("BEGIN IMMEDIATE")
        assert store.subjects() == [], "reading goes on"
        with pytest.raises(StoreError, match="database is locked: another process keeps it locked, for longer"):
            store.write(record_subject(SUBJECT))
    store.write(record_subject(SUBJECT))
    assert store.subjects() == [SUBJECT]


def test_a_store_that_may_not_be_written_can_be_read(unprivileged: Path) -> None:
    path = unprivileged / "observations.sqlite"
    store = Store(path, run="r")
    fill(store)
    before = content(store)
    store.close()
    path.chmod(0o400)
    unprivileged.chmod(0o500)
    store = Store(path, run="r")
    assert content(store) == before
    with pytest.raises(StoreError, match="readonly database: it may not be written; make the file and its folder writable"):
        store.write(record_cloak(replace(CLOAK, probe="bob/b.jpg")))
    store.close()
    assert [file.name for file in unprivileged.iterdir()] == [path.name]


def test_what_is_still_in_the_log_of_a_store_that_may_not_be_written_is_read_too(unprivileged: Path) -> None:
    path = unprivileged / "observations.sqlite"
    writer = Store(path, run="r")
    fill(writer)
    unprivileged.chmod(0o500)
    reader = Store(path, run="r")
    assert content(reader) == content(writer)
    reader.close()
    unprivileged.chmod(0o700)
    writer.close()


def test_a_folder_that_may_not_be_written_takes_no_new_store(unprivileged: Path) -> None:
    unprivileged.chmod(0o500)
    with pytest.raises(StoreError, match="unable to open database file: expected a file in a folder that this user can"):
        Store(unprivileged / "observations.sqlite", run="r")


def test_a_server_that_stays_away_is_given_up_after_a_while_and_goes_on_when_it_is_back(postgres: Cluster) -> None:
    store = Store(postgres.new_database(), run="r", outage_timeout=0.5)
    try:
        store.write(record_observations(OF_ALICE, picture_sha256="c" * 64, answers={}))
        postgres.stop()
        try:
            with pytest.raises(StoreError) as failure:
                store.write(record_subject(SUBJECT))
        finally:
            postgres.start()
        message = str(failure.value)
        assert message.startswith(f"{store.name}: no answer since 20")
        assert message.endswith("what was recorded before is safe; see to the server, and the same command goes on")
        assert "\n" not in message
        store.write(record_subject(SUBJECT))
        assert len(store.observations()) == len(OF_ALICE)
    finally:
        store.close()


@pytest.mark.parametrize("closed", [False, True])
def test_an_operation_that_waits_for_a_server_can_be_ended(postgres: Cluster, *, closed: bool) -> None:
    waited_for = threading.Event()
    store = Store(postgres.new_database(), run="r", outage_timeout=10 * SECONDS, note=lambda _: waited_for.set())
    with ThreadPoolExecutor(1) as thread, contextlib.ExitStack() as stack:
        stack.callback(store.close)
        postgres.stop()
        stack.callback(postgres.start)
        waiting = thread.submit(store.write, record_subject(SUBJECT))
        assert waited_for.wait(SECONDS)
        if closed:
            store.close()
        else:
            stack.enter_context(store.without_waiting())
        assert isinstance(waiting.exception(SECONDS), StoreUnavailableError)
        with pytest.raises(StoreUnavailableError):
            store.leases.release()


def test_where_the_server_goes_away_what_is_left_of_a_commit_is_not_tried(postgres: Cluster) -> None:
    store = Store(postgres.new_database(), run="r", outage_timeout=0.2)
    tried: list[int] = []

    def refuse(_: Connection, run: str) -> None:
        raise StoreError("no")

    def stop(connection: Connection, run: str) -> None:
        if not tried:
            postgres.stop()
        tried.append(2)
        connection.exec_driver_sql("SELECT 1")

    try:
        outcomes = store.commit([refuse, stop, lambda *_: tried.append(3)])
    finally:
        postgres.start()
        store.close()
    assert str(outcomes[0]) == "no"
    assert isinstance(outcomes[1], StoreUnavailableError)
    assert outcomes[2] is outcomes[1]
    assert 3 not in tried


def test_changes_that_wait_for_each_other_are_both_made(postgres: Cluster) -> None:
    store = Store(postgres.new_database(), run="r")
    both_began = threading.Barrier(2)
    subjects = [record_cloak(replace(CLOAK, probe=f"{name}/1.jpg")) for name in ("alice", "bob")]

    def crosswise(first: Change, second: Change) -> Change:
        attempts: list[int] = []

        def change(connection: Connection, run: str) -> None:
            first(connection, run)
            attempts.append(1)
            if len(attempts) == 1:
                both_began.wait(60)
            second(connection, run)

        return change

    with ThreadPoolExecutor(2) as threads:
        outcomes = threads.map(lambda pair: store.commit([crosswise(*pair)]), [subjects, subjects[::-1]])
        assert list(outcomes) == [[None], [None]], "the server ends one of them, and it is made again"
    store.close()


def _stop_within_a_transaction(url: str, within: Pipe) -> None:
    store = Store(url, run="r")

    def change(connection: Connection, run: str) -> None:
        record_cloak(CLOAK)(connection, run)
        if not within.closed:
            within.send(None)
            within.close()
            os.kill(os.getpid(), signal.SIGSTOP)

    assert store.commit([change]) == [None], "its transaction was ended, and is made again"


def test_a_process_that_is_stopped_within_a_transaction_keeps_nobody_waiting_for_ever(postgres: Cluster) -> None:
    url = postgres.new_database()
    store = Store(url, run="r")
    soon = f"{url}?options=-c%20idle_in_transaction_session_timeout%3D500ms"
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_stop_within_a_transaction, args=(soon, sender))
    process.start()
    try:
        sender.close()
        receiver.recv()
        store.write(record_cloak(CLOAK))
        os.kill(process.pid or 0, signal.SIGCONT)
        process.join(SECONDS)
        assert process.exitcode == 0
    finally:
        process.kill()
        process.join()
    assert len(store.cloaks(probe="alice/a.jpg")) == 1
    store.close()


def test_how_long_a_stopped_process_may_hold_others_up_is_bounded_unless_the_url_says_otherwise(postgres: Cluster) -> None:
    store = Store(postgres.new_database(), run="r")
    names = ("lock_timeout", "idle_in_transaction_session_timeout")
    bounds = store._database.read(lambda connection: [connection.exec_driver_sql(f"SHOW {name}").scalar() for name in names])
    assert bounds == ["30s", "1min"]
    store.close()


def test_opening_waits_for_no_server(postgres: Cluster) -> None:
    url = postgres.new_database()
    postgres.stop()
    try:
        with pytest.raises(StoreError, match=r"^postgresql\+psycopg://bench@127.0.0.1:\d+/database_\d+: connection failed"):
            Store(url, run="r")
    finally:
        postgres.start()


@pytest.mark.parametrize(
    ("role", "database_name", "message"),
    [
        ("bench", "not_there", 'database "not_there" does not exist'),
        ("stranger", "postgres", 'role "stranger" does not exist'),
    ],
)
def test_a_server_that_refuses_is_an_error_of_one_line(
    postgres: Cluster, role: str, database_name: str, message: str
) -> None:
    url = postgres.url(database_name).replace("bench@", f"{role}:s3cret@")
    with pytest.raises(StoreError, match=message) as failure:
        Store(url, run="r")
    assert "s3cret" not in str(failure.value)
    assert "\n" not in str(failure.value)


def test_a_user_who_may_not_make_tables_is_told_so(postgres: Cluster) -> None:
    import psycopg

    url = postgres.new_database()
    name = url.rpartition("/")[2]
    with psycopg.connect(postgres.address(name), autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS reader")
        connection.execute("CREATE ROLE reader LOGIN")
    with pytest.raises(StoreError, match=r"permission denied for schema public.*grant it, or name another user$"):
        Store(url.replace("bench@", "reader@"), run="r")
