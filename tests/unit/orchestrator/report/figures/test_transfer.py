"""What the heat maps draw, against numbers worked by hand."""

from dataclasses import replace

from matplotlib.axes import Axes

from orchestrator.experiment.grid import Grid
from orchestrator.metrics.psr import Rate
from orchestrator.report.figures.transfer import HeatMap, series, transfer
from orchestrator.report.tables import transfer_table
from tests.support.cells import paper_cell
from tests.support.figured import GRID, table_results
from tests.support.observed import BEYOND, observations


def rates(heat_map: HeatMap) -> tuple[tuple[Rate | None, ...], ...]:
    return tuple(tuple(None if cell is None else cell.psr for cell in row) for row in heat_map.cells)


def test_a_heat_map_is_worked_by_hand() -> None:
    illc, bim = series(table_results(), GRID, k=1)
    assert [(each.method, each.epsilon) for each in (*illc, *bim)] == [
        *(("illc", 4), ("illc", 8), ("illc", 16)),
        *(("bim", 4), ("bim", 8), ("bim", 16)),
    ]
    assert [rates(each) for each in bim] == [
        ((Rate(1, 4), Rate(0, 4)), (None, None)),
        ((Rate(3, 4), None), (Rate(1, 1), None)),
        ((Rate(4, 4), Rate(2, 2)), (None, None)),
    ]
    assert [rates(each) for each in series(table_results(), GRID, k=5)[1]][1] == ((Rate(2, 4), None), (Rate(1, 1), None))


def numbers(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


WIDE = Grid(("senet50", "facenet"), ("resnet50", "facenet", "senet50"), ("bim",), (8,), (1,))


def test_rows_are_source_models_and_columns_target_models_in_the_order_of_the_grid() -> None:
    table = [
        *observations(paper_cell("facenet", "bim", 8, "facenet"), a=BEYOND, b=3),
        *observations(paper_cell("facenet", "bim", 8, "resnet50"), a=1, b=3),
        *observations(paper_cell("senet50", "bim", 8, "resnet50"), a=1, b=1),
    ]
    (((heat_map),),) = series(table_results(table), WIDE, k=1)
    assert rates(heat_map) == ((Rate(0, 2), None, None), (Rate(1, 2), Rate(2, 2), None))
    shown = transfer_table(table_results(table), WIDE, k=1)
    assert shown.columns == ("method", "ε", "source model", "read by ResNet-50", "read by FaceNet", "read by SENet-50")
    assert [[value.text for value in row] for row in shown.rows] == [
        ["BIM", "8", "SENet-50", "0.0", "–", "–"],
        ["BIM", "8", "FaceNet", "50.0", "100.0", "–"],
    ]


def test_cells_carry_their_numbers_and_missing_ones_are_crossed_out() -> None:
    figure = transfer(table_results(), GRID, k=1, caveat="these are not the paper's figures")
    bim_8 = figure.axes[4]
    assert bim_8.get_title() == "BIM, ε\u00a08"
    assert numbers(bim_8) == ["75", "100"]
    assert len(bim_8.lines) == 2
    assert "Crossed out: nothing was observed." in figure.texts[-1].get_text().replace("\n", " ")
    assert "These are not the paper's figures." in figure.texts[-1].get_text()


def test_cells_of_the_same_model_are_framed() -> None:
    figure = transfer(table_results(), GRID, k=1)
    frames = [patch.get_xy() for patch in figure.axes[0].patches if not patch.get_fill()]  # type: ignore[attr-defined]
    assert frames == [(-0.5, -0.5), (0.5, 0.5)]


def test_cells_of_every_member_of_an_ensemble_are_framed() -> None:
    grid = replace(GRID, source_models=("facenet+resnet50", "resnet50"), target_models=("facenet", "senet50", "resnet50"))
    figure = transfer(table_results(), grid, k=1)
    frames = [patch.get_xy() for patch in figure.axes[0].patches if not patch.get_fill()]  # type: ignore[attr-defined]
    assert frames == [(-0.5, -0.5), (1.5, -0.5), (1.5, 0.5)]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["FaceNet + ResNet-50", "ResNet-50"]


def test_a_matcher_with_the_network_of_the_source_model_is_framed() -> None:
    grid = replace(GRID, source_models=("facenet", "resnet50"), target_models=("dlib", "resnet50-features"))
    figure = transfer(table_results(), grid, k=1)
    frames = [patch.get_xy() for patch in figure.axes[0].patches if not patch.get_fill()]  # type: ignore[attr-defined]
    assert frames == [(0.5, 0.5)]
    assert [label.get_text() for label in figure.axes[3].get_xticklabels()] == ["dlib", "ResNet-50 features"]


def test_panels_keep_a_size_however_long_a_name_is() -> None:
    grid = replace(GRID, source_models=("+".join(f"{number}-of-the-other-networks" for number in range(9)),))
    figure = transfer(table_results(), grid, k=1)
    assert all(axes.get_position().width * figure.get_figwidth() > 0.59 for axes in figure.axes)


def test_a_run_of_nothing_is_drawn() -> None:
    figure = transfer([], replace(GRID, target_models=("senet50",)), k=1)
    assert [numbers(axes) for axes in figure.axes] == [[]] * 6
    assert "Nothing was observed." in figure.texts[-1].get_text()
