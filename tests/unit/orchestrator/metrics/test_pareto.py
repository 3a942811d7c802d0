"""The Pareto front against every point compared with every other."""

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from orchestrator.errors import MetricError
from orchestrator.metrics.pareto import Point, pareto_front

COARSE = st.integers(0, 6).map(float)  # so that points tie
POINTS = st.lists(st.tuples(COARSE, COARSE), max_size=25).map(
    lambda pairs: [Point(quality, psr, str(place)) for place, (quality, psr) in enumerate(pairs)]
)


def dominated(point: Point, points: list[Point]) -> bool:
    return any(
        other.quality >= point.quality
        and other.psr >= point.psr
        and (other.quality > point.quality or other.psr > point.psr)
        for other in points
    )


@settings(deadline=None)
@given(POINTS)
def test_it_is_what_brute_force_leaves(points: list[Point]) -> None:
    front = pareto_front(points)
    assert sorted(front, key=lambda point: int(point.label)) == [each for each in points if not dominated(each, points)]
    assert [point.quality for point in front] == sorted(point.quality for point in front)


def test_points_that_agree_in_both_all_stay_in_their_order() -> None:
    same = [Point(0.9, 50, "a"), Point(0.9, 50, "b")]
    assert pareto_front([Point(0.8, 40, "worse"), *same]) == same


def test_a_perfect_picture_has_infinite_psnr_and_is_no_error() -> None:
    perfect = Point(float("inf"), 0, "none")
    assert pareto_front([perfect, Point(30, 80, "bim")]) == [Point(30, 80, "bim"), perfect]


def test_what_is_not_a_number_is_refused_by_name() -> None:
    with pytest.raises(MetricError, match="bim 4"):
        pareto_front([Point(float("nan"), 50, "bim 4")])
