"""FNIR and FPIR against tables worked by hand, and against their definitions in plain loops over observations."""

from dataclasses import replace
from itertools import count
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from statsmodels.stats.proportion import proportion_confint

from orchestrator.experiment.condition import LOSSLESS, PAPERS, Condition
from orchestrator.experiment.grid import Cell
from orchestrator.metrics.matrix import RankMatrix
from orchestrator.metrics.non_mated import NonMatedSearch, false_positives
from orchestrator.metrics.observation import Observation, Outcome
from orchestrator.metrics.psr import results_of
from orchestrator.store.changes import record_observations, record_subject
from orchestrator.store.records import Subject, SubjectStatus
from orchestrator.store.store import Store
from tests.support.cells import paper_cell
from tests.support.observed import BEYOND, NO_FACE, Seen, observation

CANDIDATES = 5
CLOAKED, CONTROL = (paper_cell("facenet", *cloak, "dlib") for cloak in (("bim", 8), ("none", 0)))
CLASSIFIED = replace(CLOAKED, target_model="facenet")
STRICT, LOOSE = "fpir:0.01", "given"


@pytest.fixture(scope="module")
def matrices(tmp_path_factory: pytest.TempPathFactory) -> "Matrices":
    return Matrices(tmp_path_factory.mktemp("store") / "observations.sqlite")


class Matrices:
    """What a store makes of observations: every time of another run in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._runs = count()

    def of(self, observed: list[Observation], *thresholds: str | None) -> list[RankMatrix]:
        store = Store(self._path, run=str(next(self._runs)))
        try:
            store.write(
                *(record_subject(Subject(each, each, each, SubjectStatus.SUBJECT)) for each in {o.probe for o in observed}),
                *(record_observations([each], picture_sha256="a" * 64, answers={}) for each in observed),
            )
            return [store.rank_matrix(threshold) for threshold in thresholds]
        finally:
            store.close()


def seen(cell: Cell, probe: str, rank: Seen, strict: int, loose: int) -> Observation:
    return replace(observation(probe, cell, rank, candidates=CANDIDATES), reached={STRICT: strict, LOOSE: loose})


# Of the strict threshold only probe a's mate is reached under the cloak; of the loose one also b's, at rank 3, and not d's.
TABLE = [
    seen(CLOAKED, "a", 1, strict=1, loose=2),
    seen(CLOAKED, "b", 3, strict=1, loose=4),
    seen(CLOAKED, "c", BEYOND, strict=2, loose=5),
    seen(CLOAKED, "d", 2, strict=0, loose=1),
    seen(CLOAKED, "e", NO_FACE, strict=0, loose=0),
    seen(CONTROL, "a", 1, strict=1, loose=1),
    seen(CONTROL, "b", 1, strict=0, loose=1),
    seen(CONTROL, "c", 1, strict=5, loose=5),
    seen(CONTROL, "d", 2, strict=2, loose=3),
    observation("a", CLASSIFIED, 1, candidates=CANDIDATES),
]


@pytest.mark.parametrize(
    ("threshold", "k", "cloaked", "control"),
    [
        (None, 1, 80, 25),
        (None, 3, 40, 0),
        (LOOSE, 1, 80, 25),
        (LOOSE, 3, 60, 0),
        (LOOSE, 5, 60, 0),
        (STRICT, 1, 80, 50),
        (STRICT, 3, 80, 25),
        (STRICT, 5, 80, 25),
    ],
)
def test_a_mated_search_is_missed_where_the_mate_is_not_among_the_first_k_that_reach_the_threshold(
    matrices: "Matrices", threshold: str | None, k: int, cloaked: float, control: float
) -> None:
    (matrix,) = matrices.of(TABLE, threshold)
    found = {each.cell: each for each in results_of(matrix, ks=(k,))}
    assert (found[CLOAKED].psr.percent, found[CLOAKED].psr.n) == (cloaked, 5)
    assert (found[CONTROL].psr.percent, found[CONTROL].psr.n) == (control, 4)
    assert found[CLOAKED].detected.successes == 4, "the threshold does not change what faces are found"


def test_the_difference_from_the_control_is_at_the_same_threshold(matrices: "Matrices") -> None:
    (matrix,) = matrices.of(TABLE, STRICT)
    (cloaked,) = (each for each in results_of(matrix, ks=(3,)) if each.cell == CLOAKED)
    assert cloaked.minus_control is not None
    assert cloaked.minus_control.points == 75 - 25, "of the probes a to d, b, c and d are missed, and b without a cloak"


def test_a_classifier_has_no_psr_at_a_threshold_rather_than_one_of_zero(matrices: "Matrices") -> None:
    for matrix in matrices.of(TABLE, STRICT, LOOSE):
        assert {each.cell.target_model for each in results_of(matrix, ks=(1,))} == {"dlib"}


SEEN = st.one_of(st.integers(1, CANDIDATES), st.sampled_from([BEYOND, NO_FACE]))


@st.composite
def searches(draw: st.DrawFn) -> list[Observation]:
    """Of at most two cells and twelve probes; without a face nobody reaches a threshold."""
    observed = []
    for probe in range(draw(st.integers(1, 12))):
        for cell in draw(st.sampled_from([(CLOAKED,), (CONTROL,), (CLOAKED, CONTROL)])):
            rank = draw(SEEN)
            reached = st.just(0) if rank is NO_FACE else st.integers(0, CANDIDATES)
            observed.append(seen(cell, str(probe), rank, draw(reached), draw(reached)))
    return observed


@settings(deadline=None, max_examples=40)
@given(observed=searches(), threshold=st.sampled_from([None, STRICT, LOOSE]), k=st.integers(1, CANDIDATES))
def test_psr_at_a_threshold_is_the_false_negative_identification_rate(
    matrices: "Matrices", observed: list[Observation], threshold: str | None, k: int
) -> None:
    """FNIR(N, k, T) of ISO/IEC 19795-1, search by search."""
    (matrix,) = matrices.of(observed, threshold)
    found = {each.cell: each.psr for each in results_of(matrix, ks=(k,))}
    for cell in (CLOAKED, CONTROL):
        missed = mated = 0
        for each in observed:
            if each.cell == cell:
                returned = (
                    list(range(1, k + 1)) if threshold is None else list(range(1, min(k, each.reached[threshold]) + 1))
                )
                mated += 1
                missed += each.outcome is not Outcome.RANKED or each.rank not in returned
        if mated:
            assert (found[cell].successes, found[cell].n) == (missed, mated)
        else:
            assert cell not in found


def search(
    photo: str,
    reached: int,
    *,
    condition: Condition = PAPERS,
    model: str = "dlib",
    threshold: str = LOOSE,
    face: bool = True,
) -> NonMatedSearch:
    return NonMatedSearch(photo, condition, model, threshold, face_found=face, reached=reached)


def test_a_search_of_somebody_who_is_not_enrolled_is_a_false_positive_where_anybody_reaches_the_threshold() -> None:
    found = false_positives([search("a/1", 0), search("b/1", 1), search("c/1", 5), search("d/1", 0, face=False)])
    (of_all,) = found
    assert (of_all.condition, of_all.target_model, of_all.threshold) == (PAPERS, "dlib", LOOSE)
    assert (of_all.rate.percent, of_all.rate.n, of_all.faces_found) == (50, 4, 3)
    assert of_all.rate.interval.low == pytest.approx(100 * proportion_confint(2, 4, method="wilson")[0])


def test_fpir_is_of_one_condition_one_matcher_and_one_threshold() -> None:
    found = false_positives(
        [
            search("a/1", 1),
            search("a/1", 0, condition=LOSSLESS),
            search("a/1", 0, threshold=STRICT),
            search("a/1", 0, model="arcface"),
            search("b/1", 0),
        ]
    )
    assert [(str(each.condition), each.target_model, each.threshold, each.rate.percent) for each in found] == [
        ("jpeg:95", "arcface", LOOSE, 0),
        ("jpeg:95", "dlib", STRICT, 0),
        ("jpeg:95", "dlib", LOOSE, 50),
        ("png", "dlib", LOOSE, 0),
    ]


def test_where_nobody_was_searched_there_is_no_fpir() -> None:
    assert false_positives([]) == []


KEYS = st.tuples(st.sampled_from([PAPERS, LOSSLESS]), st.sampled_from(["arcface", "dlib"]), st.sampled_from([STRICT, LOOSE]))


@given(answers=st.dictionaries(st.tuples(KEYS, st.integers(0, 9)), st.one_of(st.none(), st.integers(0, 1)), max_size=40))
def test_fpir_is_the_false_positive_identification_rate(
    answers: dict[tuple[tuple[Condition, str, str], int], int | None],
) -> None:
    """FPIR(N, T) of ISO/IEC 19795-1, search by search; None is no face."""
    searched = [
        NonMatedSearch(f"{number}/1", *key, face_found=reached is not None, reached=reached or 0)
        for (key, number), reached in answers.items()
    ]
    found = {(each.condition, each.target_model, each.threshold): each for each in false_positives(searched)}
    assert set(found) == {key for key, _ in answers}
    for key, each in found.items():
        positive = total = faces = 0
        for (of_key, _), reached in answers.items():
            if of_key == key:
                total += 1
                faces += reached is not None
                positive += reached == 1
        assert (each.rate.successes, each.rate.n, each.faces_found) == (positive, total, faces)
