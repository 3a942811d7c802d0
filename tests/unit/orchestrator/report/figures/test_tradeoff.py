"""What is drawn of PSR against quality, against points placed by hand."""

from dataclasses import replace
from math import inf

import pytest

from orchestrator.experiment.grid import Grid
from orchestrator.metrics.pareto import Point
from orchestrator.metrics.psr import Rate
from orchestrator.report.figures.tradeoff import FADED, Curve, Panel, QualityPoint, series, tradeoff
from tests.support.cells import paper_cell

GRID = Grid(("facenet", "resnet50"), ("facenet", "senet50"), ("bim", "illc"), (4, 8, 16), (1,))


def point(source: str, method: str, epsilon: int, target: str, ssim: float, protected: int, *, n: int = 10) -> QualityPoint:
    return QualityPoint(paper_cell(source, method, epsilon, target), ssim, 50 * ssim, n, Rate(protected, n))


POINTS = [
    # Read by SENet-50. BIM of FaceNet at 16 and 4, ILLC of ResNet-50 at 8 are on the front; the rest are dominated.
    point("facenet", "bim", 16, "senet50", 0.5, 9),
    point("facenet", "bim", 4, "senet50", 0.9, 1),
    point("facenet", "bim", 8, "senet50", 0.7, 4),
    point("resnet50", "illc", 8, "senet50", 0.8, 6),
    point("resnet50", "illc", 16, "senet50", 0.4, 9),
    point("facenet", "noise", 4, "senet50", 0.95, 10),  # no choice, however good
    # Read by FaceNet itself.
    point("facenet", "bim", 4, "facenet", 0.9, 10),
    point("resnet50", "bim", 4, "facenet", 0.9, 2),
    point("resnet50", "bim", 8, "facenet", 0.7, 1),
]


def panel(measure: str, target_model: str, points: list[QualityPoint] = POINTS) -> Panel:
    (found,) = (
        each for row in series(points, GRID) for each in row if (each.measure, each.target_model) == (measure, target_model)
    )
    return found


def test_rows_are_the_measures_and_columns_the_target_models() -> None:
    assert [[(each.measure, each.target_model) for each in row] for row in series(POINTS, GRID)] == [
        [("ssim", "facenet"), ("ssim", "senet50")],
        [("psnr", "facenet"), ("psnr", "senet50")],
    ]


def test_a_curve_joins_the_budgets_of_a_source_model_and_method_in_their_order() -> None:
    assert panel("ssim", "senet50").curves == (
        Curve("facenet", "bim", (Point(0.9, 10, "4"), Point(0.7, 40, "8"), Point(0.5, 90, "16"))),
        Curve("facenet", "noise", (Point(0.95, 100, "4"),)),
        Curve("resnet50", "illc", (Point(0.8, 60, "8"), Point(0.4, 90, "16"))),
    )


def test_the_front_is_worked_by_hand_and_noise_is_no_choice() -> None:
    assert panel("ssim", "senet50").front == (Point(0.5, 90, "BIM 16"), Point(0.8, 60, "ILLC 8"), Point(0.9, 10, "BIM 4"))


def test_psnr_has_its_own_quality() -> None:
    assert [each.quality for each in panel("psnr", "senet50").front] == pytest.approx([25, 40, 45])


def test_the_model_that_reads_is_no_choice_where_there_is_another() -> None:
    assert panel("ssim", "facenet").front == (Point(0.9, 20, "BIM 4"),)


def test_the_model_that_reads_is_the_choice_where_it_is_the_only_one() -> None:
    alone = [each for each in POINTS if each.cell.source_model == each.cell.target_model]
    assert panel("ssim", "facenet", alone).front == (Point(0.9, 100, "BIM 4"),)


def test_an_ensemble_with_the_model_that_reads_is_no_choice_and_its_curve_is_pale() -> None:
    grid = replace(GRID, source_models=("facenet+senet50", "resnet50"))
    ensemble = [replace(each, cell=replace(each.cell, source_model="facenet+senet50")) for each in POINTS[:2]]
    points = [*ensemble, POINTS[3]]
    ((_, senet), _) = series(points, grid)
    assert senet.front == (Point(0.8, 60, "ILLC 8"),)
    _, of_ensemble, of_another = tradeoff(points, grid, k=1).axes[1].lines
    assert (of_ensemble.get_alpha(), of_another.get_alpha()) == (FADED, 1)
    ((_, senet), _) = series(ensemble, grid)
    assert senet.front == (Point(0.5, 90, "BIM 16"), Point(0.9, 10, "BIM 4")), "it is the only one"
    assert tradeoff(ensemble, grid, k=1).axes[1].lines[1].get_alpha() == 1


def test_a_curve_of_the_network_of_a_matcher_is_pale() -> None:
    grid = replace(GRID, target_models=("facenet-features",))
    points = [replace(each, cell=replace(each.cell, target_model="facenet-features")) for each in POINTS[-3:]]
    _, of_network, of_another = tradeoff(points, grid, k=1).axes[0].lines
    assert (of_network.get_alpha(), of_another.get_alpha()) == (FADED, 1)


def test_an_infinite_psnr_is_left_out() -> None:
    points = [replace(point("facenet", "bim", 8, "senet50", 1.0, 5), psnr=inf)]
    assert panel("ssim", "senet50", points).curves == (Curve("facenet", "bim", (Point(1.0, 50, "8"),)),)
    assert panel("psnr", "senet50", points).curves == ()


def test_the_figure_draws_curves_and_front_and_says_where_there_is_nothing() -> None:
    figure = tradeoff(POINTS[:6], GRID, k=1, caveat="these are not the paper's figures")
    nothing, senet = figure.axes[:2]
    assert [text.get_text() for text in nothing.texts] == ["no observations"]
    front, bim, *_ = senet.lines
    assert front.get_drawstyle() == "steps-pre"
    assert (list(front.get_xdata()), list(front.get_ydata())) == ([0.5, 0.8, 0.9], [90, 60, 10])  # type: ignore[arg-type]
    assert list(bim.get_ydata()) == [10, 40, 90]  # type: ignore[arg-type]
    texts = " ".join(text.get_text() for text in figure.texts).replace("\n", " ").replace("\u00a0", " ")
    assert "lossless probe, mean of 10 photographs; PSR is of all. N = 10 photographs" in texts
    assert "These are not the paper's figures." in figure.texts[-1].get_text()
