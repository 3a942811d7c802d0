"""The tables of a store are made once, whoever comes first, and those of another version are refused."""

import multiprocessing
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import inspect

from orchestrator.store.changes import record_subject
from orchestrator.store.errors import StoreError
from orchestrator.store.records import Subject, SubjectStatus
from orchestrator.store.schema import VERSION, schema
from orchestrator.store.store import Store
from tests.support.recorded import content, fill
from tests.support.store_places import Place

WAY_OUT = (
    "go on with the release of this program that made it, or have the run begin anew, in another --run folder or --store"
)


def refusal(place: Place, *, got: str) -> None:
    """Opening it is refused, whether to write or only to read."""
    for create in (True, False):
        with pytest.raises(StoreError) as refused:
            place.store(create=create)
        name = str(place.location)
        assert str(refused.value) == f"{name}: expected a store of version {VERSION}, got {got}: {WAY_OUT}"


def test_the_tables_that_are_made_are_those_of_the_schema(store: Store) -> None:
    made = store._database.read(lambda connection: set(inspect(connection).get_table_names()))
    assert made == schema.tables.keys()


def test_a_store_states_its_version_and_opening_it_again_changes_nothing(place: Place) -> None:
    fill(place.store())
    before = content(place.store())
    place.close()
    assert place.sql("SELECT version FROM schema_version") == [(VERSION,)]
    assert content(place.store()) == before


def test_where_there_is_no_store_none_is_made_to_be_read(place: Place) -> None:
    with pytest.raises(StoreError, match="expected the store of a run, got a database that holds none"):
        place.store(create=False)
    if isinstance(place.location, Path):
        assert not place.location.exists()
    else:
        assert place.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == []


def test_a_database_of_other_things_becomes_a_store_too_unless_it_is_to_be_read(place: Place) -> None:
    place.sql("CREATE TABLE recipes (name VARCHAR)")
    with pytest.raises(StoreError, match="got a database that holds none"):
        place.store(create=False)
    fill(place.store())
    assert place.sql("SELECT count(*) FROM recipes") == [(0,)]


@pytest.mark.parametrize("version", [0, VERSION + 1])
def test_a_store_of_another_version_is_refused_and_left_as_it_is(place: Place, version: int) -> None:
    fill(place.store())
    place.close()
    place.sql(f"UPDATE schema_version SET version = {version}")
    refusal(place, got=f"version {version}")
    assert place.sql("SELECT version FROM schema_version") == [(version,)]


def test_the_tables_of_a_store_that_states_no_version_are_refused_and_left_as_they_are(place: Place) -> None:
    place.sql("CREATE TABLE observations (run VARCHAR, probe VARCHAR)", "INSERT INTO observations VALUES ('r', 'p')")
    refusal(place, got="tables without a version")
    assert place.sql("SELECT run, probe FROM observations") == [("r", "p")]


def test_a_store_of_another_version_that_may_not_be_written_is_refused_as_that(unprivileged: Path) -> None:
    path = unprivileged / "observations.sqlite"
    sqlite3.connect(path).execute("CREATE TABLE subjects (run)").connection.close()
    unprivileged.chmod(0o500)
    refusal(Place(path), got="tables without a version")


def test_a_store_holds_the_runs_that_began_in_it(place: Place) -> None:
    store, other = place.store(), place.store(run="other")
    assert not store.holds_run()
    store.bind("one", {})
    assert (store.holds_run(), other.holds_run()) == (True, False)


def _open(location: Path | str, number: int) -> None:
    store = Store(location, run="r")
    store.write(record_subject(Subject(f"n{number}", "", "", SubjectStatus.UNREADABLE)))
    store.close()


def test_processes_that_create_a_store_at_the_same_time_do_not_collide(place: Place) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as processes:
        processes.starmap(_open, [(place.location, number) for number in range(4)], chunksize=1)
    assert [subject.identity for subject in place.store().subjects()] == ["n0", "n1", "n2", "n3"]
    assert place.sql("SELECT version FROM schema_version") == [(VERSION,)]
