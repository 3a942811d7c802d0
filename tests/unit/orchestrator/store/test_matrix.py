"""The ranks that come straight from SQL are those of the single observations."""

import random
from dataclasses import replace
from itertools import groupby, product

import numpy as np
import pytest

from orchestrator.experiment.grid import Cell
from orchestrator.metrics.matrix import RankMatrix
from orchestrator.metrics.observation import Observation
from orchestrator.store import matrix
from orchestrator.store.changes import record_observations, record_subject
from orchestrator.store.records import Subject, SubjectStatus
from orchestrator.store.store import Store
from tests.support.cells import paper_cell
from tests.support.observed import BEYOND, NO_FACE, Seen, observation, rank_matrix
from tests.support.store_places import Place

CELLS = [
    paper_cell(source, method, epsilon, target)
    for source, (method, epsilon), target in product(
        ("facenet", "senet50"), (("none", 0), ("bim", 4), ("bim", 128), ("illc", 16)), ("resnet50", "facenet")
    )
]
PROBES = [f"{name}/{number}.jpg" for number, name in enumerate(("zoe", "alice", "李雷", "bob", "carol", "dave"))]
STATUSES = [
    SubjectStatus.SUBJECT,
    SubjectStatus.SUBJECT,
    SubjectStatus.SUBJECT,
    SubjectStatus.NO_FACE,
    SubjectStatus.BEGUN,
    SubjectStatus.SUBJECT,
]


def fill(store: Store, seen: list[Observation]) -> None:
    for probe, status in zip(PROBES, STATUSES, strict=True):
        store.write(record_subject(Subject(probe.partition("/")[0], probe, "d" * 64, status)))
    for (_, _), of_cloak in groupby(seen, key=lambda each: (each.probe, each.cell.cloak)):
        store.write(record_observations(list(of_cloak), picture_sha256="c" * 64, answers={}))


SEEN: list[Seen] = [*range(1, 51), *[BEYOND] * 25, *[NO_FACE] * 25]


def some_observations(seed: int) -> list[Observation]:
    chance = random.Random(seed)
    return [
        observation(probe, cell, chance.choice(SEEN), candidates=50)
        for probe, cell in product(PROBES[:5], CELLS)
        if chance.random() < 0.8
    ]


def by_place(matrix: RankMatrix) -> dict[tuple[Cell, str], int]:
    return {
        (cell, probe): int(matrix.ranks[row, column])
        for row, cell in enumerate(matrix.cells)
        for column, probe in enumerate(matrix.probes)
    }


@pytest.mark.parametrize("rows_at_once", [1, 7, 50_000])
@pytest.mark.parametrize("seed", range(5))
def test_the_matrix_is_that_of_the_subjects_observations(
    store: Store, monkeypatch: pytest.MonkeyPatch, seed: int, rows_at_once: int
) -> None:
    monkeypatch.setattr(matrix, "ROWS_AT_ONCE", rows_at_once)
    fill(store, some_observations(seed))
    of_subjects = {probe for probe, status in zip(PROBES, STATUSES, strict=True) if status is SubjectStatus.SUBJECT}
    expected, found = (
        rank_matrix([each for each in store.observations() if each.probe in of_subjects]),
        store.rank_matrix(),
    )
    assert found.cells == expected.cells
    assert by_place(found) == by_place(expected)
    assert set(found.probes) == {PROBES[0], PROBES[1], PROBES[2]}
    assert found.candidates == expected.candidates == 50
    assert found.ranks.dtype == np.int16


def test_every_outcome_has_its_code_and_what_was_not_observed_too(store: Store) -> None:
    one, other = CELLS[0], CELLS[1]
    fill(
        store,
        [
            observation(PROBES[0], one, 8631, candidates=9000),
            observation(PROBES[1], one, BEYOND, candidates=9000),
            observation(PROBES[2], one, NO_FACE, candidates=9000),
            observation(PROBES[0], other, 1, candidates=10),
        ],
    )
    found = store.rank_matrix()
    ranks = by_place(found)
    assert [ranks[one, probe] for probe in PROBES[:3]] == [8631, 0, -1]
    assert [ranks[other, probe] for probe in PROBES[:3]] == [1, -2, -2]
    assert found.candidates == 10, "the fewest that were asked for"


def test_at_a_threshold_a_rank_that_does_not_reach_it_is_beyond_and_only_who_has_it_is_there(store: Store) -> None:
    matcher, other, classifier = CELLS[0], replace(CELLS[0], target_model="dlib"), CELLS[1]
    seen = [
        replace(observation(PROBES[0], matcher, 2), reached={"fpir:0.01": 1, "given": 2}),
        replace(observation(PROBES[0], other, 1), reached={"given": 0}),
        observation(PROBES[0], classifier, 1),
        replace(observation(PROBES[1], matcher, BEYOND), reached={"fpir:0.01": 0, "given": 10}),
        replace(observation(PROBES[2], matcher, NO_FACE), reached={"fpir:0.01": 0, "given": 0}),
    ]
    fill(store, seen)
    found = store.rank_matrix("given")
    assert found.cells == tuple(sorted((matcher, other)))
    ranks = by_place(found)
    assert [ranks[matcher, probe] for probe in PROBES[:3]] == [2, 0, -1]
    assert [ranks[other, probe] for probe in PROBES[:3]] == [0, -2, -2]
    assert found.candidates == 10
    assert by_place(store.rank_matrix("fpir:0.01")) == {
        (matcher, PROBES[0]): 0,
        (matcher, PROBES[1]): 0,
        (matcher, PROBES[2]): -1,
    }
    assert by_place(store.rank_matrix("fmr:0.1")) == {}
    assert by_place(store.rank_matrix())[other, PROBES[0]] == 1


def test_an_empty_store_has_an_empty_matrix(store: Store) -> None:
    found = store.rank_matrix()
    assert (found.cells, found.probes, found.ranks.shape, found.candidates) == ((), (), (0, 0), 0)


def test_another_run_in_the_same_place_is_none_of_the_matrix(place: Place) -> None:
    store, other = place.store(), place.store(run="other")
    fill(store, [observation(PROBES[0], CELLS[0], 3)])
    fill(other, [observation(PROBES[1], CELLS[1], 7)])
    assert by_place(store.rank_matrix()) == {(CELLS[0], PROBES[0]): 3}
    assert by_place(other.rank_matrix()) == {(CELLS[1], PROBES[1]): 7}
