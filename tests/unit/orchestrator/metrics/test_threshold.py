"""The smallest epsilon that reaches a PSR, on rows written by hand."""

import pytest

from orchestrator.experiment.grid import Cell, Grid
from orchestrator.metrics.psr import CellResult
from orchestrator.metrics.threshold import smallest_epsilon
from tests.support.observed import BEYOND, observation, results

GRID = Grid(("facenet",), ("resnet50",), ("bim",), (4, 8, 16, 32), (5,))


def row(*, n: int = 20, **protected: int) -> list[CellResult]:
    """Results of cells with so many of n protected, by epsilon: e4=3."""
    table = [
        observation(f"{place}", Cell("facenet", "bim", int(name[1:]), "resnet50"), BEYOND if place < count else 1)
        for name, count in protected.items()
        for place in range(n)
    ]
    return results(table, ks=(1, 5))


def smallest(cells: list[CellResult], *, grid: Grid = GRID) -> int | None:
    return smallest_epsilon(cells, grid, source_model="facenet", method="bim", target_model="resnet50", k=5)


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
    assert smallest(row(**counts)) == expected


def test_the_order_of_the_grid_does_not_matter() -> None:
    shuffled = Grid(GRID.source_models, GRID.target_models, GRID.methods, (32, 4, 16, 8), GRID.ks)
    assert smallest(row(e4=0, e8=19, e16=20, e32=20), grid=shuffled) == 8


def test_other_cells_and_other_k_do_not_count() -> None:
    cells = row(e4=20)
    elsewhere = {"source_model": "facenet", "method": "bim", "target_model": "senet50", "k": 5}
    assert smallest_epsilon(cells, GRID, **elsewhere) is None  # type: ignore[arg-type]
    assert smallest_epsilon(cells, GRID, source_model="facenet", method="bim", target_model="resnet50", k=10) is None
