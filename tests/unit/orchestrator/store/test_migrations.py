"""Stores of every version become stores of this one, with all that is in them; those of a newer one are refused."""

import multiprocessing
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from orchestrator import store as storing
from orchestrator.experiment.grid import CloakKey
from orchestrator.metrics.observation import Outcome
from orchestrator.store import (
    CloakQuality,
    Failure,
    LosslessControl,
    RecordedCloak,
    Store,
    StoreError,
    Subject,
    SubjectStatus,
)
from orchestrator.store.schema import VERSION, VERSION_TABLE, VERSIONS, schema
from tests.support.observed import observation
from tests.support.recorded import CELL, KEY, content, fill
from tests.unit.orchestrator.store.conftest import Place

_KEY = """run VARCHAR NOT NULL, probe VARCHAR NOT NULL, source_model VARCHAR NOT NULL, method VARCHAR NOT NULL,
    epsilon INTEGER NOT NULL"""
_KEY_COLUMNS = "run, probe, source_model, method, epsilon"

# What stores were made of before their schema had versions: first the oldest tables, then those that came one by one.
OLDEST = f"""
CREATE TABLE subjects (run VARCHAR NOT NULL, identity VARCHAR NOT NULL, photo VARCHAR, photo_sha256 VARCHAR,
    status VARCHAR NOT NULL, PRIMARY KEY (run, identity));
CREATE TABLE cloaks ({_KEY}, n_iter INTEGER NOT NULL, largest_change INTEGER NOT NULL, zero_gradient_share FLOAT NOT NULL,
    probe_sha256 VARCHAR NOT NULL, cloak_sha256 VARCHAR NOT NULL, PRIMARY KEY ({_KEY_COLUMNS}));
CREATE TABLE observations ({_KEY}, target_model VARCHAR NOT NULL, outcome VARCHAR NOT NULL, rank INTEGER,
    candidates INTEGER NOT NULL, cloak_sha256 VARCHAR NOT NULL, PRIMARY KEY ({_KEY_COLUMNS}, target_model));
CREATE TABLE failures (number INTEGER NOT NULL, run VARCHAR NOT NULL, probe VARCHAR NOT NULL, what VARCHAR NOT NULL,
    message VARCHAR NOT NULL, PRIMARY KEY (number));
INSERT INTO subjects VALUES ('r', 'alice', 'alice/a.jpg', 'd', 'subject');
INSERT INTO cloaks VALUES ('r', 'alice/a.jpg', 'facenet', 'bim', 8, 10, 8, 0.25, 'p', 'c');
INSERT INTO observations VALUES ('r', 'alice/a.jpg', 'facenet', 'bim', 8, 'resnet50', 'ranked', 3, 10, 'c');
INSERT INTO failures VALUES (7, 'r', 'alice/a.jpg', 'craft', 'INTERNAL');
"""
BESIDE = f"""
CREATE TABLE answers ({_KEY}, target_model VARCHAR NOT NULL, identity VARCHAR NOT NULL,
    PRIMARY KEY ({_KEY_COLUMNS}, target_model));
CREATE TABLE probes (run VARCHAR NOT NULL, probe VARCHAR NOT NULL, source_model VARCHAR NOT NULL,
    probe_sha256 VARCHAR NOT NULL, file_sha256 VARCHAR NOT NULL, PRIMARY KEY (run, probe, source_model));
CREATE TABLE quality ({_KEY}, ssim FLOAT NOT NULL, psnr FLOAT, PRIMARY KEY ({_KEY_COLUMNS}));
INSERT INTO answers VALUES ('r', 'alice/a.jpg', 'facenet', 'bim', 8, 'resnet50', 'bob');
INSERT INTO probes VALUES ('r', 'alice/a.jpg', 'facenet', 'p', 'f');
INSERT INTO quality VALUES ('r', 'alice/a.jpg', 'facenet', 'bim', 8, 0.5, NULL);
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "observations.sqlite"


def write(path: Path, script: str) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()


@pytest.mark.parametrize("script", [OLDEST, OLDEST + BESIDE], ids=["oldest", "last without a version"])
def test_a_store_without_a_version_keeps_all_that_is_in_it(path: Path, opened: Callable[..., Store], script: str) -> None:
    write(path, script)
    store = opened(path)
    assert store.observations() == [observation("alice/a.jpg", CELL, 3)]
    assert store.observations()[0].outcome is Outcome.RANKED
    assert store.subjects() == [Subject("alice", "alice/a.jpg", "d", SubjectStatus.SUBJECT)]
    assert store.cloaks() == [RecordedCloak("alice/a.jpg", KEY, "p", "c")]
    assert store.failures() == [Failure("alice/a.jpg", "craft", "INTERNAL")]
    if script != OLDEST:
        assert store.answers(probe="alice/a.jpg") == {CELL: "bob"}
        control = LosslessControl("alice/a.jpg", "facenet", "p", "f")
        assert store.lossless_controls() == {("alice/a.jpg", "facenet"): control}
        assert store.quality() == [CloakQuality("alice/a.jpg", CloakKey("facenet", "bim", 8), 0.5, float("inf"))]
    store.add_failure(Failure("bob/b.jpg", "craft", "INTERNAL"))
    assert [failure.probe for failure in store.failures()] == ["alice/a.jpg", "bob/b.jpg"]
    store.draw(["alice", "bob"])
    assert store.claim(wanted=2, holder="h") == "bob"


def test_a_store_that_is_opened_to_be_read_is_brought_up_to_date(path: Path, opened: Callable[..., Store]) -> None:
    write(path, OLDEST)
    assert opened(path, make=False).observations() == [observation("alice/a.jpg", CELL, 3)]


def test_where_there_is_no_store_none_is_made_to_be_read(place: Place) -> None:
    with pytest.raises(StoreError, match="expected the store of a run, got a database that holds none"):
        place.store(make=False)
    if isinstance(place.location, Path):
        assert not place.location.exists()
    else:
        assert place.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == []


def test_a_store_holds_the_runs_that_began_in_it_and_those_that_were_observed_before_they_were_named(
    path: Path, place: Place, opened: Callable[..., Store]
) -> None:
    store, other = place.store(), place.store(run="other")
    assert not store.holds_run()
    store.bind("one", {})
    assert (store.holds_run(), other.holds_run()) == (True, False)
    older = path.with_name("older.sqlite")
    write(older, OLDEST)
    assert opened(older).holds_run()


def differences(store: Store) -> list[object]:
    """What Alembic would change so that the tables are those of `schema`."""
    options = {"version_table": VERSION_TABLE}
    return store._database.read(
        lambda connection: list(compare_metadata(MigrationContext.configure(connection, opts=options), schema))
    )


def test_the_tables_that_are_made_are_those_that_this_version_knows(store: Store) -> None:
    assert differences(store) == []


@pytest.mark.parametrize("script", [OLDEST, OLDEST + BESIDE], ids=["oldest", "last without a version"])
def test_the_tables_that_were_there_become_those_that_this_version_knows(
    path: Path, opened: Callable[..., Store], script: str
) -> None:
    write(path, script)
    assert differences(opened(path)) == []


def test_the_versions_that_are_known_are_those_of_the_migrations() -> None:
    scripts = ScriptDirectory(str(Path(storing.__file__).parent / "migrations"))
    assert tuple(script.revision for script in reversed(list(scripts.walk_revisions()))) == VERSIONS


def test_a_store_of_a_newer_version_is_refused_and_left_as_it_is(place: Place) -> None:
    fill(place.store())
    place.close()
    place.sql("UPDATE store_version SET version_num = '0999'")
    expected = f"its schema is of version 0999, written by a newer program; this one knows versions up to {VERSION}"
    with pytest.raises(StoreError, match=re.escape(expected)):
        place.store()
    assert place.sql("SELECT version_num FROM store_version") == [("0999",)]


def test_opening_what_is_up_to_date_does_not_load_what_migrations_need(place: Place) -> None:
    before = content(place.store())
    program = (
        "import sys; from pathlib import Path; from orchestrator.store import Store; "
        "location = sys.argv[2] if sys.argv[1] == 'url' else Path(sys.argv[2]); "
        "Store(location, run='r').close(); print('alembic' in sys.modules)"
    )
    arguments = ["url" if place.is_server else "path", str(place.location)]
    printed = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True).stdout
    assert printed == "False\n"
    assert content(place.store()) == before


def _open(location: Path | str, number: int) -> int:
    store = Store(location, run="r")
    store.put_subject(Subject(f"n{number}", "", "", SubjectStatus.UNREADABLE))
    store.close()
    return number


def test_processes_that_open_a_new_store_at_the_same_time_do_not_collide(place: Place) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as processes:
        processes.starmap(_open, [(place.location, number) for number in range(4)], chunksize=1)
    store = place.store()
    assert [subject.identity for subject in store.subjects()] == ["n0", "n1", "n2", "n3"]
    assert differences(store) == []
