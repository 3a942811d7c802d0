"""What a store keeps, and that it keeps it once."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.clients import Cloak
from orchestrator.errors import OrchestratorError
from orchestrator.protocol import Cell, CloakKey
from orchestrator.store import Failure, Fate, RecordedCloak, Store, StoreError, Subject
from tests.unit.orchestrator.observed import BEYOND, NO_FACE, observation

CELL = Cell("facenet", "bim", 8, "resnet50")
OTHER = Cell("facenet", "bim", 8, "senet50")
SEEN = [
    observation("alice/a.jpg", CELL, 3),
    observation("bob/b.jpg", CELL, BEYOND),
    observation("alice/a.jpg", OTHER, NO_FACE),
]
CLOAK = Cloak(CloakKey("facenet", "bim", 8), 10, 8, 0.25, "p" * 64, "c" * 64, b"a cloak")
SUBJECT = Subject("alice", "alice/a.jpg", "d" * 64, Fate.SUBJECT)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "observations.sqlite"


def fill(store: Store) -> None:
    store.put_subject(SUBJECT)
    store.put_subject(Subject("bob", "", "", Fate.UNREADABLE))
    store.add_cloak("alice/a.jpg", CLOAK)
    store.add_observations(SEEN, cloak_sha256="c" * 64)


def content(store: Store) -> tuple[object, ...]:
    return sorted(map(str, store.observations())), store.subjects(), store.cloaks(probe="alice/a.jpg"), store.failures()


def test_what_was_written_is_read(path: Path) -> None:
    store = Store(path, run="r")
    fill(store)
    assert sorted(map(str, store.observations())) == sorted(map(str, SEEN))
    assert store.subjects() == [SUBJECT, Subject("bob", "", "", Fate.UNREADABLE)]
    assert store.cloaks(probe="alice/a.jpg") == [RecordedCloak("alice/a.jpg", CLOAK.key, "p" * 64, "c" * 64)]
    store.close()


def test_a_probe_s_observations_and_cloaks_are_its_own(path: Path) -> None:
    store = Store(path, run="r")
    fill(store)
    assert store.observations(probe="bob/b.jpg") == [observation("bob/b.jpg", CELL, BEYOND)]
    assert store.cloaks(probe="bob/b.jpg") == []
    assert store.observations(probe="carol/c.jpg") == []
    store.close()


def test_whom_target_models_took_a_cloak_for_is_read_by_cell(path: Path) -> None:
    store = Store(path, run="r")
    store.add_answers("alice/a.jpg", CELL.cloak, {"resnet50": "bob", "senet50": "alice"})
    store.add_answers("alice/a.jpg", CELL.cloak, {"resnet50": "carol"})  # the first answer stays
    store.add_answers("bob/b.jpg", CELL.cloak, {"resnet50": "dora"})
    assert store.answers(probe="alice/a.jpg") == {CELL: "bob", OTHER: "alice"}
    assert Store(path, run="another").answers(probe="alice/a.jpg") == {}


def test_writing_twice_changes_nothing(path: Path) -> None:
    store = Store(path, run="r")
    fill(store)
    before = content(store)
    fill(store)
    assert content(store) == before
    store.close()


def test_the_first_answer_to_a_question_stays(path: Path) -> None:
    store = Store(path, run="r")
    store.add_observations([observation("alice/a.jpg", CELL, 3)], cloak_sha256="c" * 64)
    store.add_observations([observation("alice/a.jpg", CELL, 1)], cloak_sha256="e" * 64)
    assert store.observations() == [observation("alice/a.jpg", CELL, 3)]
    store.close()


def test_what_became_of_a_subject_replaces_that_it_was_begun(path: Path) -> None:
    store = Store(path, run="r")
    store.put_subject(replace(SUBJECT, fate=Fate.BEGUN))
    store.put_subject(Subject("bob", "bob/b.jpg", "e" * 64, Fate.BEGUN))
    store.put_subject(SUBJECT)
    assert store.subjects() == [SUBJECT, Subject("bob", "bob/b.jpg", "e" * 64, Fate.BEGUN)]
    store.close()


def test_what_is_new_beside_what_is_known_is_still_written(path: Path) -> None:
    store = Store(path, run="r")
    store.add_observations([observation("alice/a.jpg", CELL, 3)], cloak_sha256="c" * 64)
    both = [observation("alice/a.jpg", CELL, 1), observation("alice/a.jpg", OTHER, 2)]
    store.add_observations(both, cloak_sha256="c" * 64)
    assert {seen.cell: seen.rank for seen in store.observations()} == {CELL: 3, OTHER: 2}
    store.close()


def test_writing_no_observations_is_no_error(path: Path) -> None:
    store = Store(path, run="r")
    store.add_observations([], cloak_sha256="c" * 64)
    assert store.observations() == []
    store.close()


def test_everything_survives_reopening(path: Path) -> None:
    store = Store(path, run="r")
    fill(store)
    store.add_failure(Failure("alice/a.jpg", "classify", "INTERNAL"))
    before = content(store)
    store.close()
    again = Store(path, run="r")
    assert content(again) == before
    again.close()


def test_what_was_written_is_there_while_the_writer_is_still_open(path: Path) -> None:
    writer, reader = Store(path, run="r"), Store(path, run="r")
    writer.put_subject(SUBJECT)
    assert reader.subjects() == [SUBJECT]
    writer.close()
    reader.close()


def test_runs_do_not_mix(path: Path) -> None:
    first, second = Store(path, run="first"), Store(path, run="second")
    fill(first)
    first.add_failure(Failure("alice/a.jpg", "classify", "INTERNAL"))
    assert content(second) == ([], [], [], [])
    second.add_observations([observation("alice/a.jpg", CELL, 9)], cloak_sha256="c" * 64)
    assert [seen.rank for seen in second.observations()] == [9]
    assert {seen.rank for seen in first.observations(probe="alice/a.jpg")} == {3, None}
    first.close()
    second.close()


def test_failures_keep_their_order_and_may_repeat(path: Path) -> None:
    failures = [Failure("b", "craft", "1"), Failure("a", "craft", "2"), Failure("b", "craft", "1")]
    store = Store(path, run="r")
    for failure in failures:
        store.add_failure(failure)
    assert store.failures() == failures
    store.close()


def test_names_beyond_ascii_are_kept(path: Path) -> None:
    store = Store(path, run="r")
    store.add_observations([observation("李雷/фото.jpg", CELL, 1)], cloak_sha256="c" * 64)
    assert store.observations(probe="李雷/фото.jpg") == [observation("李雷/фото.jpg", CELL, 1)]
    store.close()


def test_observations_can_be_read_as_plain_sql(path: Path) -> None:
    store = Store(path, run="r")
    fill(store)
    store.close()
    with sqlite3.connect(path) as connection:
        query = "SELECT run, probe, source_model, method, epsilon, target_model, outcome, rank, candidates FROM observations"
        rows = set(connection.execute(query))
    assert rows == {
        ("r", "alice/a.jpg", "facenet", "bim", 8, "resnet50", "ranked", 3, 10),
        ("r", "bob/b.jpg", "facenet", "bim", 8, "resnet50", "beyond", None, 10),
        ("r", "alice/a.jpg", "facenet", "bim", 8, "senet50", "no_face", None, 10),
    }


def test_a_file_that_is_no_database_is_an_error_of_one_line(path: Path) -> None:
    path.write_text("these are notes, and no database at all\n" * 100)
    with pytest.raises(StoreError) as failure:
        Store(path, run="r")
    assert str(failure.value) == f"{path}: file is not a database"
    assert isinstance(failure.value, OrchestratorError)


def test_a_store_that_cannot_be_opened_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=f"^{tmp_path}: unable to open database file$"):
        Store(tmp_path, run="r")


def test_a_database_that_breaks_while_it_is_used_is_an_error_of_one_line(path: Path) -> None:
    store = Store(path, run="r")
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE observations")
    with pytest.raises(StoreError, match=f"^{path}: no such table: observations$"):
        store.observations()
    with pytest.raises(StoreError, match="no such table: observations"):
        store.add_observations(SEEN, cloak_sha256="c" * 64)
    store.close()


@pytest.mark.parametrize("name", ["a b", "what?", "50%20", "#1", "a&b=c", "jürgen"])
def test_the_file_lies_where_it_was_asked_for_whatever_the_folder_is_called(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    store = Store(folder / "observations.sqlite", run="r")
    fill(store)
    assert (folder / "observations.sqlite").exists()
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    store.close()
