"""The smallest epsilon that reaches a PSR, on rows written by hand."""

import pytest

from orchestrator.metrics.psr import Rate
from orchestrator.metrics.threshold import smallest_epsilon


def row(**protected: int) -> dict[int, Rate]:
    """Rates of so many of 20, by epsilon: e4=3."""
    return {int(name[1:]): Rate(count, 20) for name, count in protected.items()}


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        pytest.param({"e4": 0, "e8": 19, "e16": 20, "e32": 20}, 8, id="95 % exactly is reached"),
        pytest.param({"e4": 20, "e8": 18, "e16": 19, "e32": 20}, 16, id="not kept by 8"),
        pytest.param({"e4": 20, "e8": 20, "e16": 20, "e32": 20}, 4, id="at once"),
        pytest.param({"e4": 20, "e8": 20, "e16": 20, "e32": 18}, None, id="the largest does not"),
        pytest.param({"e4": 0, "e8": 0, "e16": 0, "e32": 20}, 32, id="the largest alone"),
        pytest.param({"e4": 0, "e8": 20, "e32": 20}, 8, id="without observations at 16"),
        pytest.param({}, None, id="without observations"),
    ],
)
def test_it_is_reached_where_every_larger_epsilon_reaches_it_too(counts: dict[str, int], expected: int | None) -> None:
    assert smallest_epsilon(row(**counts)) == expected


def test_the_order_of_the_epsilons_does_not_matter() -> None:
    assert smallest_epsilon(row(e32=20, e4=0, e16=20, e8=19)) == 8
