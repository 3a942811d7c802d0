"""Tables of a page from rows written by hand."""

from orchestrator.experiment.grid import Grid
from orchestrator.report.tables import threshold_table
from tests.support.cells import paper_cell
from tests.support.observed import BEYOND, Seen, observation, results

GRID = Grid(("facenet",), ("resnet50", "senet50", "unread"), ("bim",), (4, 8), (1, 5))


def test_the_smallest_epsilon_is_that_of_each_cell_at_each_k() -> None:
    seen: dict[tuple[int, str], Seen] = {
        (4, "resnet50"): 2,
        (8, "resnet50"): BEYOND,
        (4, "senet50"): BEYOND,
        (8, "senet50"): 1,
    }
    table = [observation("a", paper_cell("facenet", "bim", *cell), answer) for cell, answer in seen.items()]
    rows = threshold_table(results(table, ks=GRID.ks), GRID, ks=GRID.ks).rows
    assert [[value.text for value in row[2:]] for row in rows] == [
        ["1", "4", "not reached", "–"],
        ["5", "8", "not reached", "–"],
    ]
