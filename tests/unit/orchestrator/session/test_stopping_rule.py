"""When a run has subjects enough, decided from ranks that are made here."""

import numpy as np
import pytest
from numpy.typing import NDArray

from orchestrator.experiment.grid import Grid
from orchestrator.experiment.plan import Plan
from orchestrator.metrics.confidence_sequence import confidence_sequence
from orchestrator.metrics.intervals import Interval
from orchestrator.metrics.matrix import RankMatrix
from orchestrator.session.stopping_rule import first_look, next_look
from tests.support.plans import plan

GRID = Grid(("facenet",), ("resnet50",), ("bim",), (8,), (1,))
CELLS = tuple(sorted(GRID.cells()))

Protected = NDArray[np.bool_]  # (cells, subjects), in the draw's order


def matrix(protected: Protected) -> RankMatrix:
    ranks = np.where(protected, 0, 1).astype(np.int16)
    return RankMatrix(CELLS, tuple(map(str, range(ranks.shape[1]))), ranks, 1)


def looks(until_halfwidth: float | None, *, most: int = 300) -> Plan:
    return plan(grid=GRID, subjects=most, until_halfwidth=until_halfwidth)


def stopped_at(asked: Plan, protected: Protected) -> int:
    """What a runner does with looks, over a draw of so many subjects."""
    wanted = first_look(asked)
    while (further := next_look(asked, wanted, matrix(protected[:, :wanted]))) > wanted:
        wanted = further
    return further


def test_a_run_of_a_fixed_n_is_done_at_that_n_whatever_it_observed() -> None:
    fixed = looks(None, most=33)
    assert first_look(fixed) == 33
    assert next_look(fixed, 33, matrix(np.zeros((3, 33), dtype=np.bool_))) == 33
    assert next_look(fixed, 33, matrix(np.zeros((3, 0), dtype=np.bool_))) == 33


def test_it_goes_on_from_look_to_look_until_every_interval_is_narrow() -> None:
    protected = np.zeros((3, 300), dtype=np.bool_)
    widths = {n: 100 * confidence_sequence(0, n).halfwidth for n in (20, 40, 60, 80)}
    assert widths[20] > widths[40] > 6 >= widths[60]
    assert stopped_at(looks(6), protected) == 60
    assert stopped_at(looks(widths[40]), protected) == 40, "as wide as it may be is narrow enough"
    assert stopped_at(looks(50), protected) == 20


def test_one_wide_cell_keeps_the_run_going() -> None:
    protected = np.zeros((3, 300), dtype=np.bool_)
    protected[1, ::2] = True
    assert stopped_at(looks(12), protected) > stopped_at(looks(12), np.zeros((3, 300), dtype=np.bool_))
    assert 100 * confidence_sequence(stopped_at(looks(12), protected) // 2, stopped_at(looks(12), protected)).halfwidth <= 12


@pytest.mark.parametrize("most", [1, 19, 20, 21, 47])
def test_it_never_wants_more_than_the_most(most: int) -> None:
    protected = np.arange(3 * most).reshape(3, most) % 2 == 0
    assert first_look(looks(0.5, most=most)) == min(20, most)
    assert stopped_at(looks(0.5, most=most), protected) == most


def test_a_draw_that_runs_out_ends_the_run_with_as_many_as_it_had() -> None:
    protected = np.arange(3 * 47).reshape(3, 47) % 2 == 0
    assert stopped_at(looks(0.5, most=300), protected) == 47


def test_a_run_in_which_nobody_shows_a_face_stays_short_of_its_first_look() -> None:
    assert next_look(looks(5), 20, matrix(np.zeros((3, 0), dtype=np.bool_))) == 20


def test_a_look_at_more_subjects_than_it_is_of_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="a look at 20 subjects was shown 21"):
        next_look(looks(5), 20, matrix(np.zeros((3, 21), dtype=np.bool_)))


def test_each_cell_s_interval_holds_in_95_percent_of_runs_at_the_n_at_which_its_run_stopped() -> None:
    """Cells of one subject depend on each other as they do in a run: a stronger cloak protects whom a weaker one does."""
    truth = np.array([0.05, 0.3, 0.5])
    random = np.random.default_rng(20200)
    held = []
    for _ in range(500):
        protected = random.random(1000) < truth[:, None]
        n = stopped_at(looks(10, most=1000), protected)
        assert n < 1000
        intervals = [confidence_sequence(int(row[:n].sum()), n) for row in protected]
        held.append([_holds(interval, p) for interval, p in zip(intervals, truth, strict=True)])
    assert (np.mean(held, axis=0) >= 0.95).all()


def _holds(interval: Interval, p: float) -> bool:
    return interval.low <= p <= interval.high
