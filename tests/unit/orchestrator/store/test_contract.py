"""What a store keeps, and that it keeps it once."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.experiment.cloak import PhotoBox, Quality
from orchestrator.experiment.condition import LOSSLESS, PAPERS
from orchestrator.experiment.grid import CloakKey
from orchestrator.metrics.non_mated import NonMatedSearch
from orchestrator.store.changes import (
    Change,
    record_cloak,
    record_failure,
    record_non_mated,
    record_observations,
    record_quality,
    record_subject,
)
from orchestrator.store.errors import StoreConflictError, StoreError
from orchestrator.store.records import Failure, ObservationCounts, Subject, SubjectStatus
from orchestrator.store.store import Store
from tests.support.cells import paper_cell
from tests.support.observed import BEYOND, NO_FACE, Seen, observation
from tests.support.recorded import CELL, CLOAK, OF_ALICE, OTHER, SEEN, SUBJECT, content, drawn, fill
from tests.support.store_places import Place


def test_what_was_written_is_read(store: Store) -> None:
    fill(store)
    assert sorted(map(str, store.observations())) == sorted(map(str, SEEN))
    assert store.subjects() == [SUBJECT, Subject("bob", "", "", SubjectStatus.UNREADABLE)]
    assert store.subject("alice") == SUBJECT
    assert store.subject("carol") is None
    assert store.cloaks(probe="alice/a.jpg") == [CLOAK]


def test_where_in_its_photo_a_cloak_lies_is_read_of_the_controls_of_subjects(store: Store) -> None:
    fill(store)
    box, key = PhotoBox(3, 4, 50, 51, 640, 480), CloakKey("facenet", "none", 0)
    control = replace(CLOAK, key=key, box=box)
    store.write(record_cloak(control), record_cloak(replace(control, probe="bob/b.jpg")))
    assert control in store.cloaks(probe="alice/a.jpg")
    assert store.boxes() == [box], "bob is no subject, and the cloak beside the control is a crop"


def test_a_probe_s_observations_and_cloaks_are_its_own(store: Store) -> None:
    fill(store)
    assert store.observations(probe="bob/b.jpg") == [observation("bob/b.jpg", CELL, BEYOND)]
    assert {each.cell for each in store.observations(probe="alice/a.jpg")} == {CELL, OTHER}
    assert store.cloaks(probe="bob/b.jpg") == []
    assert store.observations(probe="carol/c.jpg") == []


def test_whom_target_models_took_a_cloak_for_is_read_by_cell(place: Place) -> None:
    store = place.store()
    seen = [observation("alice/a.jpg", CELL, 3), observation("alice/a.jpg", OTHER, 1)]
    store.write(record_observations(seen, picture_sha256="c" * 64, answers={"resnet50": "bob", "senet50": "alice"}))
    store.write(
        record_observations([observation("bob/b.jpg", CELL, BEYOND)], picture_sha256="e" * 64, answers={"resnet50": "dora"})
    )
    assert store.answers(probe="alice/a.jpg") == {CELL: "bob", OTHER: "alice"}
    assert place.store(run="another").answers(probe="alice/a.jpg") == {}


def test_writing_twice_changes_nothing(store: Store) -> None:
    fill(store)
    before = content(store)
    fill(store)
    assert content(store) == before


@pytest.mark.parametrize(
    ("seen", "cloak", "now"),
    [
        (1, "c", "rank 1 of picture cccccccccccc"),
        (BEYOND, "c", "beyond of picture cccccccccccc"),
        (NO_FACE, "c", "no_face of picture cccccccccccc"),
        (3, "e", "rank 3 of picture eeeeeeeeeeee"),
    ],
)
def test_a_cell_is_not_answered_in_two_ways_and_the_first_answer_stays(
    store: Store, seen: Seen, cloak: str, now: str
) -> None:
    first = [observation("alice/a.jpg", CELL, 3)]
    store.write(record_observations(first, picture_sha256="c" * 64, answers={"resnet50": "bob"}))
    both = [observation("alice/a.jpg", OTHER, 2), observation("alice/a.jpg", CELL, seen)]
    with pytest.raises(
        StoreConflictError, match=f"recorded rank 3 of picture cccccccccccc, now {now}; the first stays"
    ) as failure:
        store.write(record_observations(both, picture_sha256=cloak * 64, answers={"senet50": "dora"}))
    assert str(failure.value).startswith(f"alice/a.jpg: {CELL}: ")
    assert store.observations() == first, "nothing else of that call either"
    assert store.answers(probe="alice/a.jpg") == {CELL: "bob"}


def test_a_cloak_is_not_crafted_in_two_ways_and_the_first_stays(store: Store) -> None:
    store.write(record_cloak(CLOAK))
    with pytest.raises(StoreConflictError, match="recorded cccccccccccc, now eeeeeeeeeeee; its software or machine differs"):
        store.write(record_cloak(replace(CLOAK, sha256="e" * 64)))
    assert [cloak.sha256 for cloak in store.cloaks(probe="alice/a.jpg")] == ["c" * 64]


@pytest.mark.parametrize("quality", [Quality(0.5, 31.25), Quality(1.0, math.inf)])
def test_what_was_measured_of_a_cloak_is_part_of_its_record(store: Store, quality: Quality) -> None:
    fill(store)
    other = replace(CLOAK, key=CloakKey("facenet", "bim", 16))
    store.write(record_cloak(other))
    store.write(record_quality(CLOAK, quality))
    assert store.cloaks() == [replace(CLOAK, quality=quality), other]


def test_what_became_of_a_subject_replaces_that_it_was_begun(store: Store) -> None:
    store.write(record_subject(replace(SUBJECT, status=SubjectStatus.BEGUN)))
    store.write(record_subject(Subject("bob", "bob/b.jpg", "e" * 64, SubjectStatus.BEGUN)))
    store.write(record_subject(SUBJECT))
    assert store.subjects() == [SUBJECT, Subject("bob", "bob/b.jpg", "e" * 64, SubjectStatus.BEGUN)]


def test_what_is_new_beside_what_is_known_is_still_written(store: Store) -> None:
    store.write(record_observations([observation("alice/a.jpg", CELL, 3)], picture_sha256="c" * 64, answers={}))
    both = [observation("alice/a.jpg", CELL, 3), observation("alice/a.jpg", OTHER, 2)]
    store.write(record_observations(both, picture_sha256="c" * 64, answers={}))
    assert {seen.cell: seen.rank for seen in store.observations()} == {CELL: 3, OTHER: 2}


REACHED = [
    replace(observation("alice/a.jpg", CELL, 3), reached={"fpir:0.01": 2, "given": 10}),
    observation("alice/a.jpg", OTHER, 1),
]


def test_how_many_candidates_reach_a_matchers_thresholds_is_part_of_its_observation(store: Store) -> None:
    for _ in range(2):
        store.write(record_observations(REACHED, picture_sha256="c" * 64, answers={}))
        assert sorted(map(str, store.observations())) == sorted(map(str, REACHED))
    assert [each.reached for each in store.observations(probe="bob/b.jpg")] == []


def test_thresholds_are_not_reached_in_two_ways_and_the_first_answer_stays(store: Store) -> None:
    store.write(record_observations(REACHED, picture_sha256="c" * 64, answers={}))
    differs = [replace(REACHED[0], reached={"fpir:0.01": 3, "given": 10})]
    with pytest.raises(
        StoreConflictError, match=r"at fpir:0\.01: recorded 2 candidates that reach it, now 3; the first stays"
    ):
        store.write(record_observations(differs, picture_sha256="c" * 64, answers={}))
    assert REACHED[0] in store.observations()


STRANGER = [
    NonMatedSearch("eve/e.jpg", PAPERS, "dlib", "fpir:0.01", face_found=True, reached=0),
    NonMatedSearch("eve/e.jpg", PAPERS, "dlib", "given", face_found=True, reached=1),
]


def record_strangers(searches: Sequence[NonMatedSearch], picture: str = "c") -> Change:
    return record_non_mated(
        "eve/e.jpg", searches[0].condition, searches, picture_sha256=picture * 64, answers={"dlib": "alice"}
    )


def test_searches_of_people_who_are_not_enrolled_are_kept_once_and_by_run(place: Place) -> None:
    store = place.store()
    hidden = [replace(each, condition=LOSSLESS, face_found=False, reached=0) for each in STRANGER]
    for searches in (STRANGER, hidden, STRANGER, hidden):
        store.write(record_strangers(searches))
    assert store.non_mated() == [*STRANGER, *hidden]
    assert place.store(run="another").non_mated() == []


@pytest.mark.parametrize(
    ("reached", "face_found", "picture", "now"),
    [
        (0, True, "c", "0 candidates that reach it, of picture cccccccccccc"),
        (1, True, "e", "1 candidates that reach it, of picture eeeeeeeeeeee"),
        (0, False, "c", "no face, of picture cccccccccccc"),
    ],
)
def test_they_are_not_answered_in_two_ways_and_the_first_answer_stays(
    store: Store, reached: int, face_found: bool, picture: str, now: str
) -> None:
    store.write(record_strangers(STRANGER))
    differs = [replace(STRANGER[1], reached=reached, face_found=face_found)]
    with pytest.raises(StoreConflictError) as failure:
        store.write(record_strangers(differs, picture))
    assert str(failure.value).startswith(
        "eve/e.jpg: jpeg:95, read by dlib at given: recorded 1 candidates that reach it, of picture cccccccccccc, now "
        f"{now}; the first stays. "
    )
    assert store.non_mated() == STRANGER


def test_writing_no_observations_is_no_error(store: Store) -> None:
    store.write(record_observations([], picture_sha256="c" * 64, answers={}))
    assert store.observations() == []


def test_everything_survives_reopening(place: Place) -> None:
    store = place.store()
    fill(store)
    store.write(record_failure(Failure("alice/a.jpg", "classify", "INTERNAL")))
    before = content(store)
    store.close()
    assert content(place.store()) == before


def test_what_was_written_is_there_while_the_writer_is_still_open(place: Place) -> None:
    writer, reader = place.store(), place.store()
    writer.write(record_subject(SUBJECT))
    assert reader.subjects() == [SUBJECT]


def test_runs_do_not_mix(place: Place) -> None:
    first, second = place.store(run="first"), place.store(run="second")
    fill(first)
    first.write(record_failure(Failure("alice/a.jpg", "classify", "INTERNAL")))
    first.leases.draw(["alice", "bob"])
    first.leases.claim(wanted=2)
    assert content(second) == ([], [], [], {}, [])
    assert (second.leases.held(), second.leases.outstanding(wanted=1)) == (False, 0)
    second.write(record_observations([observation("alice/a.jpg", CELL, 9)], picture_sha256="c" * 64, answers={}))
    assert [seen.rank for seen in second.observations()] == [9]
    assert {seen.rank for seen in first.observations(probe="alice/a.jpg")} == {3, None}


def test_failures_keep_their_order_and_may_repeat(store: Store) -> None:
    failures = [Failure("b", "craft", "1"), Failure("a", "craft", "2"), Failure("b", "craft", "1")]
    for failure in failures:
        store.write(record_failure(failure))
    assert store.failures() == failures


def test_names_beyond_ascii_are_kept(store: Store) -> None:
    store.write(
        record_observations([observation("李雷/фото.jpg", CELL, 1)], picture_sha256="c" * 64, answers={"resnet50": "李雷"})
    )
    assert store.observations(probe="李雷/фото.jpg") == [observation("李雷/фото.jpg", CELL, 1)]
    assert store.answers(probe="李雷/фото.jpg") == {CELL: "李雷"}


def test_the_order_of_names_is_that_of_their_bytes_on_every_database(store: Store) -> None:
    names = ["Zoe", "alice", "_x", "élise", "Bob", "alice 2", "李雷", "alice-1", "a.b"]
    for name in names:
        store.write(record_subject(drawn(name, SubjectStatus.SUBJECT)))
        store.write(record_cloak(replace(CLOAK, probe=f"{name}/1.jpg")))
    assert [subject.identity for subject in store.subjects()] == sorted(names, key=str.encode)
    assert [cloak.probe for cloak in store.cloaks()] == sorted((f"{name}/1.jpg" for name in names), key=str.encode)


def test_a_run_is_bound_to_the_manifest_it_began_with(place: Place) -> None:
    store, other = place.store(run="r"), place.store(run="another plan")
    manifest = {"digest": "r", "protocol": {"seed": 1, "faces": "фото"}}
    assert store.bind("pilot", manifest) == ("pilot", manifest)
    assert store.bind("pilot", manifest | {"written": "later"}) == ("pilot", manifest), "the first stays"
    assert store.bind("called otherwise", {"digest": "r"}) == ("pilot", manifest), "the caller sees its name"
    assert other.bind("pilot", {"digest": "another plan"}) == ("pilot", manifest), "the caller refuses"
    assert other.bind("second", {"digest": "another plan"}) == ("second", {"digest": "another plan"})


def test_how_far_a_run_is(store: Store) -> None:
    assert store.observation_counts() == ObservationCounts(subjects=0, observations=0, unfinished=0, queries=0)
    fill(store)
    another = [observation("alice/a.jpg", paper_cell("facenet", "bim", 16, "resnet50"), 1)]
    store.write(record_observations(another, picture_sha256="f" * 64, answers={}))
    counted = ObservationCounts(subjects=1, observations=3, unfinished=0, queries=3)
    assert store.observation_counts() == counted
    other_model = [replace(each, target_model="facenet") for each in STRANGER]
    for searches in ([*STRANGER, *other_model], [replace(STRANGER[0], condition=LOSSLESS)]):
        store.write(record_strangers(searches))
    assert store.observation_counts() == replace(counted, non_mated_queries=2, non_mated=3)


def test_what_was_observed_of_a_subject_that_is_not_done_is_told_apart(store: Store) -> None:
    fill(store)
    store.write(record_subject(drawn("carol", SubjectStatus.BEGUN)))
    store.write(record_observations([observation("carol/1.jpg", CELL, 1)], picture_sha256="c" * 64, answers={}))
    counts = store.observation_counts()
    assert (counts.subjects, counts.observations, counts.unfinished) == (1, 2, 1)


def test_subjects_that_are_short_are_worked_on_again_and_stay_subjects(store: Store) -> None:
    store.leases.draw(["whole", "short", "none", "faceless"])
    for name, status in (
        ("whole", SubjectStatus.SUBJECT),
        ("short", SubjectStatus.SUBJECT),
        ("none", SubjectStatus.SUBJECT),
        ("faceless", SubjectStatus.NO_FACE),
    ):
        store.write(record_subject(drawn(name, status)))
    assert store.leases.outstanding(wanted=3) == 0
    for probe, cells in (("whole/1.jpg", [CELL, OTHER]), ("short/1.jpg", [CELL])):
        store.write(
            record_observations([observation(probe, cell, 1) for cell in cells], picture_sha256="c" * 64, answers={})
        )
    store.leases.reopen_short(per_probe=2)
    statuses = {subject.identity: subject.status for subject in store.subjects()}
    assert statuses == {
        "whole": SubjectStatus.SUBJECT,
        "short": SubjectStatus.SUBJECT,
        "none": SubjectStatus.SUBJECT,
        "faceless": SubjectStatus.NO_FACE,
    }
    assert [store.leases.claim(wanted=3) for _ in range(3)] == ["short", "none", None]
    store.write(record_subject(drawn("none", SubjectStatus.SUBJECT)))
    assert store.leases.outstanding(wanted=3) == 1
    store.leases.reopen_short(per_probe=1)
    store.leases.release()
    assert [store.leases.claim(wanted=3) for _ in range(2)] == ["none", None], "by another measure only that is short"


def test_what_became_of_an_identity_stays(store: Store) -> None:
    store.write(record_subject(drawn("alice", SubjectStatus.BEGUN)))
    store.write(record_subject(drawn("alice", SubjectStatus.SUBJECT)))
    for late in (SubjectStatus.BEGUN, SubjectStatus.NO_FACE):
        store.write(record_subject(drawn("alice", late)))
        assert [subject.status for subject in store.subjects()] == [SubjectStatus.SUBJECT]


def test_changes_are_committed_together_and_one_that_cannot_be_made_keeps_none_from_being_made(store: Store) -> None:
    store.write(record_observations(OF_ALICE, picture_sha256="c" * 64, answers={}))
    another, again = (
        record_observations([observation("alice/a.jpg", CELL, rank)], picture_sha256="c" * 64, answers={}) for rank in (4, 3)
    )
    new = record_cloak(CLOAK)
    outcomes = store.commit([new, another, again])
    assert [type(outcome) for outcome in outcomes] == [type(None), StoreConflictError, type(None)]
    assert len(store.cloaks(probe="alice/a.jpg")) == 1
    assert sorted(map(str, store.observations())) == sorted(map(str, OF_ALICE))


def test_a_value_that_the_database_refuses_costs_no_other_answer(place: Place) -> None:
    store = place.store()
    beyond: dict[str, Any] = (
        {"n_iter": 2**31} if place.is_server else {"zero_gradient_share": math.nan}
    )  # of either, what the other takes
    refused = record_cloak(replace(CLOAK, probe="bob/b.jpg", **beyond))
    nul = record_observations([observation("bob/b.jpg", CELL, 1)], picture_sha256="c" * 64, answers={"resnet50": "a\0b"})
    answered = record_observations(OF_ALICE, picture_sha256="c" * 64, answers={})
    outcomes = store.commit([refused, answered, nul])
    types = [StoreError, type(None), StoreError if place.is_server else type(None)]
    assert [type(outcome) for outcome in outcomes] == types
    for failed in filter(None, outcomes):
        assert str(failed).startswith(f"{store.name}: ")
        assert str(failed).endswith(
            ": the database cannot hold a value that was to be recorded; nothing of what was recorded beside it is lost"
        )
        assert "\n" not in str(failed)
    assert set(map(str, store.observations(probe="alice/a.jpg"))) == set(map(str, OF_ALICE))


def test_a_service_s_words_are_recorded_whatever_they_are(store: Store) -> None:
    store.write(record_failure(Failure("alice/a.jpg", "classify", "at \0 offset")))
    assert store.failures() == [Failure("alice/a.jpg", "classify", "at \N{REPLACEMENT CHARACTER} offset")]


def test_observations_can_be_read_as_plain_sql(place: Place) -> None:
    fill(place.store())
    query = "SELECT run, probe, source_model, method, epsilon, target_model, outcome, rank, candidates FROM observations"
    assert set(place.sql(query)) == {
        ("r", "alice/a.jpg", "facenet", "bim", 8, "resnet50", "ranked", 3, 10),
        ("r", "bob/b.jpg", "facenet", "bim", 8, "resnet50", "beyond", None, 10),
        ("r", "alice/a.jpg", "facenet", "bim", 8, "senet50", "no_face", None, 10),
    }


def test_a_table_that_is_gone_is_an_error_of_one_line(place: Place) -> None:
    store = place.store()
    place.sql("DROP TABLE observations")
    with pytest.raises(StoreError, match="observations") as reading:
        store.observations()
    with pytest.raises(StoreError, match="observations") as writing:
        store.write(record_observations(OF_ALICE, picture_sha256="c" * 64, answers={}))
    for failure in (reading, writing):
        assert str(failure.value).startswith(f"{store.name}: ")
        assert "\n" not in str(failure.value)


@pytest.mark.parametrize("name", ["a b", "what?", "50%20", "#1", "a&b=c", "jürgen"])
def test_the_file_lies_where_it_was_asked_for_whatever_the_folder_is_called(
    tmp_path: Path, opened: Callable[..., Store], name: str
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    fill(opened(folder / "observations.sqlite"))
    assert (folder / "observations.sqlite").exists()
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_a_commit_waits_for_the_disk(tmp_path: Path, opened: Callable[..., Store]) -> None:
    store = opened(tmp_path / "observations.sqlite")
    names = ("synchronous", "journal_mode")
    found = store._database.write(
        lambda connection: [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]
    )
    assert found == [2, "wal"], "2 is FULL: sqlite.org/pragma.html"
