"""The transfer matrix of a run that can be counted by hand."""

from orchestrator.experiment.grid import Cell, Grid
from orchestrator.metrics.transfer import transfer_matrix
from tests.support.observed import BEYOND, observations, results

GRID = Grid(("senet50", "facenet"), ("resnet50", "facenet", "senet50"), ("bim", "illc"), (4, 8), (1, 5))
TABLE = [
    *observations(Cell("facenet", "bim", 8, "facenet"), a=BEYOND, b=3),
    *observations(Cell("facenet", "bim", 8, "resnet50"), a=1, b=3),
    *observations(Cell("senet50", "bim", 8, "resnet50"), a=1, b=1),
    *observations(Cell("senet50", "bim", 4, "senet50"), a=BEYOND, b=BEYOND),
    *observations(Cell("senet50", "illc", 8, "senet50"), a=BEYOND, b=BEYOND),
]


def percents(method: str, epsilon: int, k: int) -> list[list[float | None]]:
    matrix = transfer_matrix(results(TABLE, ks=(1, 5)), GRID, method=method, epsilon=epsilon, k=k)
    return [[None if result is None else result.psr.percent for result in row] for row in matrix]


def test_rows_are_source_models_and_columns_target_models_in_the_order_of_the_grid() -> None:
    assert percents("bim", 8, 1) == [[0, None, None], [50, 100, None]]


def test_it_is_of_one_method_one_epsilon_and_one_k() -> None:
    assert percents("bim", 8, 5) == [[0, None, None], [0, 50, None]]
    assert percents("bim", 4, 1) == [[None, None, 100], [None, None, None]]
    assert percents("illc", 8, 1) == [[None, None, 100], [None, None, None]]


def test_an_epsilon_that_was_not_run_leaves_every_place_empty() -> None:
    assert percents("bim", 16, 1) == [[None] * 3] * 2
