"""What gradients are spent, and how much more than noise they protect from other models, worked by hand."""

from pathlib import Path

import pytest

from orchestrator.commands.report import report
from orchestrator.experiment.grid import CloakKey, Grid
from orchestrator.experiment.intervals import IntervalKind
from orchestrator.metrics.observation import Observation
from orchestrator.report.effort import effort_table
from orchestrator.store.crafting import CraftingSummary
from tests.support.cells import paper_cell
from tests.support.observed import BEYOND, observations, rank_matrix
from tests.support.pages import Element, by_id, parsed
from tests.support.reported import GRID, changed, make_run

pytestmark = pytest.mark.usefixtures("blank_figures")
UNRELATED = observations(paper_cell("senet50", "none", 0, "senet50"), a=1)


def summary(key: CloakKey, cloaks: int, gradients: float, forward_passes: float) -> CraftingSummary:
    return CraftingSummary(key, cloaks, 0, 0, 0, 0, gradients, 0, 0, forward_passes, 0, 0, 0.0, 0)


def rows(table: list[Observation], grid: Grid, *summaries: CraftingSummary) -> list[list[str]]:
    made = effort_table(rank_matrix(table), grid, {each.key: each for each in summaries}, k=1, kind=IntervalKind.WILSON)
    assert made is not None
    return [[f"{value.text} {value.beside}".strip() for value in row] for row in made.rows]


def test_the_mean_is_over_pairs_of_different_models_and_counts_each_photograph_once() -> None:
    grid = Grid(("facenet", "resnet50"), ("facenet", "resnet50"), ("bim", "one-pixel"), (8,), (1,))
    table = [
        *observations(
            paper_cell("facenet", "bim", 8, "facenet"), a=BEYOND, b=BEYOND, c=BEYOND
        ),  # its own model does not count
        *observations(paper_cell("facenet", "noise", 8, "facenet"), a=1, b=1, c=1),
        *observations(paper_cell("facenet", "bim", 8, "resnet50"), a=2, b=2, c=1),
        *observations(paper_cell("facenet", "noise", 8, "resnet50"), a=1, b=1, c=1),
        *observations(paper_cell("resnet50", "bim", 8, "facenet"), a=2, b=1, c=1),
        *observations(paper_cell("resnet50", "noise", 8, "facenet"), a=1, b=2, c=1),
    ]
    found = rows(
        table,
        grid,
        summary(CloakKey("facenet", "bim", 8), 3, 10, 1),
        summary(CloakKey("resnet50", "bim", 8), 1, 12, 1),
        summary(CloakKey("facenet", "one-pixel", 8), 2, 0, 2000),
    )
    # Of a, b and c: 1, (1 - 1) / 2 and 0, so a third. With -1 and +1 among them, a mean of 0.2 and a deviation of 0.75.
    assert found == [["BIM", "8", "10.5", "1", "+33.3 [−46, +86]"], ["one-pixel", "8", "0", "2000", "–"]]


def test_an_ensemble_is_not_read_by_another_model_where_one_of_its_members_reads() -> None:
    grid = Grid(("facenet+resnet50",), ("resnet50", "senet50"), ("bim",), (8,), (1,))
    table = [
        *observations(paper_cell("facenet+resnet50", "bim", 8, "resnet50"), a=BEYOND),
        *observations(paper_cell("facenet+resnet50", "noise", 8, "resnet50"), a=1),
        *observations(paper_cell("facenet+resnet50", "bim", 8, "senet50"), a=1),
        *observations(paper_cell("facenet+resnet50", "noise", 8, "senet50"), a=1),
    ]
    ((*_, above_noise),) = rows(table, grid)
    assert above_noise.startswith("0.0 ")


def test_what_has_neither_cloaks_nor_observations_has_dashes() -> None:
    grid = Grid(("facenet",), ("resnet50",), ("bim",), (8, 4), (1,))
    assert rows(UNRELATED, grid) == [["BIM", "4", "–", "–", "–"], ["BIM", "8", "–", "–", "–"]]


@pytest.mark.parametrize("own", ["facenet", "facenet-features"])
def test_where_no_model_of_another_network_reads_there_is_no_table(own: str) -> None:
    grid = Grid(("facenet",), (own,), ("bim",), (8,), (1,))
    assert effort_table(rank_matrix(UNRELATED), grid, {}, k=1, kind=IntervalKind.WILSON) is None


def test_intervals_of_a_run_that_looked_are_said_to_be_for_a_fixed_n() -> None:
    notes = {
        kind: made.note
        for kind in IntervalKind
        if (made := effort_table(rank_matrix(UNRELATED), GRID, {}, k=1, kind=kind)) is not None
    }
    assert "not corrected for looking" in notes[IntervalKind.CONFIDENCE_SEQUENCE]
    assert notes[IntervalKind.WILSON].endswith("another model that reads.")


def reported(root: Path) -> tuple[Element, bool]:
    """The page, and whether the figure is on it."""
    page = parsed(report(root).read_text())
    shown = "PSR@1 against the gradients spent on a cloak" in [image.attributes["alt"] for image in page.all("img")]
    files = {path.suffix for path in (root / "report" / "figures").glob("effort.*")}
    assert files == ({".svg"} if shown else set())
    return page, shown


def test_the_page_has_the_table_and_the_figure_of_two_methods_that_take_gradients(tmp_path: Path) -> None:
    page, shown = reported(make_run(tmp_path / "run", pictures=False))
    assert shown
    # At 4 levels the other model still recognises one of three subjects, at 64 none, and noise of any size all of them.
    assert by_id(page, "effort").rows() == [
        ["BIM", "4", "4", "0", "+66.7 [−30, +100]"],
        ["BIM", "64", "64", "0", "+100.0 [−10, +100]"],
        ["ILLC", "4", "4", "1", "+66.7 [−30, +100]"],
        ["ILLC", "64", "64", "1", "+100.0 [−10, +100]"],
    ]


def test_there_is_no_figure_where_only_one_of_the_methods_takes_gradients(tmp_path: Path) -> None:
    plan = changed(grid=Grid(GRID.source_models, GRID.target_models[:1], GRID.methods, (4,), (1,)))
    root = make_run(tmp_path / "run", plan=plan, took=lambda number, key: (5 * (key.method == "bim"), 7), pictures=False)
    page, shown = reported(root)
    assert not shown
    assert [row[:4] for row in by_id(page, "effort").rows()] == [["BIM", "4", "5", "7"], ["ILLC", "4", "0", "7"]]
