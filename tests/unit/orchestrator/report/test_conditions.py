"""What conditions do to cloaks and to pictures without one, worked by hand."""

import io
from dataclasses import replace
from typing import Any

from rich.console import Console

from orchestrator.experiment.condition import PAPERS, Condition
from orchestrator.experiment.grid import Cell, Grid
from orchestrator.experiment.intervals import IntervalKind
from orchestrator.metrics.matrix import RankMatrix
from orchestrator.metrics.observation import Observation, Outcome
from orchestrator.report.conditions import (
    condition_panels,
    conditions_notices,
    conditions_table,
    effect_of_condition,
    own_and_other,
)
from orchestrator.report.console_tables import conditions_summary
from orchestrator.report.figures.conditions import conditions
from tests.support.observed import rank_matrix
from tests.support.reported import MODELS

BLUR = Condition.parse("jpeg:95+blur:2")
GRID = Grid(MODELS, MODELS, ("bim",), (8, 32), (1, 5), (PAPERS, BLUR))
SUBJECTS = 20


def run(**ranks: dict[str, int]) -> RankMatrix:
    """Every probe has the same rank in cells of one method and condition: `bim={"jpeg:95": 6}`; else it is recognised."""

    def rank(cell: Cell) -> int:
        return ranks.get(cell.method, {}).get(str(cell.condition), 1)

    probes = [f"{number}/0.jpg" for number in range(SUBJECTS)]
    return rank_matrix(Observation(probe, cell, *_seen(rank(cell))) for cell in GRID.cells() for probe in probes)


def _seen(rank: int) -> tuple[Any, int | None, int]:
    return Outcome.RANKED, rank, 10


UNDONE = {"bim": {"jpeg:95": 6}}  # protects, until it is blurred


def test_a_purification_that_undoes_cloaks_is_seen_in_the_difference_from_the_headline_condition() -> None:
    own, other = own_and_other(GRID, "bim", 32, BLUR)
    assert [cell.is_white_box for cell in (*own, *other)] == [True, True, False, False]
    found = effect_of_condition(run(**UNDONE), other, PAPERS, k=1)
    assert found.psr is not None
    assert found.change is not None
    assert (found.psr.points, found.change.points) == (0, -100)
    assert (found.higher, found.lower, found.cells) == (0, 2, 2)
    before = effect_of_condition(run(**UNDONE), own_and_other(GRID, "bim", 32, PAPERS)[1], PAPERS, k=1)
    assert (before.psr and before.psr.points, before.change, before.cells) == (100, None, 0)


def test_the_table_has_a_row_for_each_condition_method_and_budget_controls_too() -> None:
    table = conditions_table(run(**UNDONE), GRID, k=1, kind=IntervalKind.WILSON)
    assert table is not None
    assert [tuple(value.text for value in row[:3]) for row in table.rows] == [
        (condition, method, epsilon)
        for condition in ("jpeg:95", "jpeg:95+blur:2")
        for method, epsilon in (("control", "0"), *(("noise control", e) for e in ["8", "32"]), ("BIM", "8"), ("BIM", "32"))
    ]
    by_row = {tuple(value.text for value in row[:3]): [value.text for value in row[3:]] for row in table.rows}
    assert by_row["jpeg:95", "BIM", "32"] == ["100.0", "–", "–", "100.0", "–", "–"]
    assert by_row["jpeg:95+blur:2", "BIM", "32"] == ["0.0", "−100.0", "+0 −2 of 2"] * 2
    assert by_row["jpeg:95+blur:2", "control", "0"] == ["0.0", "0.0", "+0 −0 of 2"] * 2


def test_a_run_under_one_condition_has_no_such_table() -> None:
    assert conditions_table(run(), GRID.under(PAPERS), k=1, kind=IntervalKind.WILSON) is None


def test_a_condition_that_loses_clean_faces_is_told_and_one_that_does_not_is_not() -> None:
    assert list(conditions_notices(run(**UNDONE), GRID, k=1)) == []
    (notice,) = conditions_notices(run(none={"jpeg:95+blur:2": 3}), GRID, k=1)
    assert notice.term == "Conditions that lose clean faces:"
    assert notice.text.startswith("jpeg:95+blur:2 (+100.0 points [")
    assert list(conditions_notices(run(none={"jpeg:95+blur:2": 3}), GRID, k=5)) == []


def test_the_console_has_a_row_for_each_condition_and_marks_what_differs() -> None:
    console = Console(file=io.StringIO(), width=200)
    console.print(conditions_summary(run(**UNDONE), GRID))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    (jpeg,) = [line for line in text.splitlines() if line.startswith("jpeg:95 ")]
    (blurred,) = [line for line in text.splitlines() if line.startswith("jpeg:95+blur:2 ")]
    assert "100 [" in jpeg
    assert "*" not in jpeg
    assert blurred.rstrip().endswith("]*")
    assert blurred.count("*") == 1, "the controls do not differ"


def test_the_figure_has_a_panel_for_each_kind_of_reader_and_a_row_for_each_condition() -> None:
    panels = condition_panels(run(**UNDONE), GRID, k=1)
    assert [panel.reader for panel in panels] == ["its own model", "another model"]
    own = panels[0].rows
    assert {str(condition): of["bim"] and of["bim"].points for condition, of in own.items()} == {
        "jpeg:95": 100,
        "jpeg:95+blur:2": 0,
    }
    figure = conditions(panels, GRID, k=1, epsilon=32, caveat="these are not the paper's figures")
    first, second = figure.axes
    assert [label.get_text() for label in first.get_yticklabels()] == ["jpeg:95", "jpeg:95+blur:2"]
    assert first.get_title() == "read by its own model"
    drawn = sorted(float(line.get_xdata()[0]) for line in second.lines)  # type: ignore[index,arg-type]
    assert drawn == [0, 0, 0, 0, 0, 100], "of two conditions BIM, noise and the control"


def test_a_grid_without_the_models_own_reading_has_one_panel() -> None:
    grid = replace(GRID, source_models=MODELS[:1], target_models=MODELS[1:])
    assert [panel.reader for panel in condition_panels(run(), grid, k=1)] == ["another model"]
