"""What is drawn of the detection rate, against numbers worked by hand."""

from dataclasses import replace

import pytest

from orchestrator.metrics.psr import Rate
from orchestrator.report.figures.detection import Panel, detection, series
from tests.support.cells import paper_cell
from tests.support.figured import GRID, TABLE, table_results
from tests.support.observed import NO_FACE, observations


def panels() -> dict[str, Panel]:
    return {panel.source_model: panel for panel in series(table_results(), GRID)}


def test_a_panel_has_a_line_for_each_method_and_the_noise_control() -> None:
    assert list(panels()["facenet"].lines) == ["illc", "bim", "noise"]


@pytest.mark.parametrize(
    ("method", "expected"), [("illc", [100, 100, 100]), ("bim", [100, 100, 75]), ("noise", [100, 100, 75])]
)
def test_a_methods_line_is_worked_by_hand(method: str, expected: list[float]) -> None:
    rates = panels()["facenet"].lines[method].values()
    assert [None if rate is None else rate.percent for rate in rates] == expected


def test_the_control_is_a_level() -> None:
    assert panels()["facenet"].control == Rate(4, 4)


def test_what_was_not_observed_is_a_gap() -> None:
    panel = panels()["resnet50"]
    assert panel.control is None
    assert panel.lines == {
        "illc": {4: None, 8: None, 16: None},
        "bim": {4: None, 8: Rate(1, 1), 16: None},
        "noise": {4: None, 8: None, 16: None},
    }


def test_the_rate_is_of_the_target_model_with_the_most_observations() -> None:
    table = [
        *observations(paper_cell("facenet", "bim", 8, "facenet"), a=NO_FACE),
        *observations(paper_cell("facenet", "bim", 8, "resnet50"), a=NO_FACE, b=1, c=1, d=1),
        *observations(paper_cell("facenet", "bim", 8, "senet50"), a=NO_FACE, b=1),
    ]
    (panel,) = series(table_results(table), replace(GRID, source_models=("facenet",), methods=("bim",)))
    assert panel.lines["bim"][8] == Rate(3, 4)


def test_the_figure_has_a_panel_for_each_source_model_and_the_caveat() -> None:
    figure = detection(table_results(TABLE), GRID, caveat="these are not the paper's figures")
    assert [axes.get_title() for axes in figure.axes] == ["crafted with FaceNet", "crafted with ResNet-50"]
    assert "These are not the paper's figures." in figure.texts[-1].get_text()


def test_more_source_models_stand_in_further_rows_with_the_names_of_ensembles_in_several_lines() -> None:
    ensemble = "compact-facenet+compact-resnet"
    figure = detection(table_results(TABLE), replace(GRID, source_models=("facenet", "resnet50", "senet50", ensemble)))
    *above, below = figure.axes
    assert below.get_title() == "crafted with compact FaceNet +\ncompact ResNet"
    assert [axes.get_ylabel() for axes in figure.axes] == ["faces found, %", "", "", "faces found, %"]
    assert all(axes.get_position().y0 > below.get_position().y1 for axes in above)


def test_a_run_of_nothing_says_so() -> None:
    figure = detection([], GRID)
    assert [[text.get_text() for text in axes.texts] for axes in figure.axes] == [["no observations"]] * 2
