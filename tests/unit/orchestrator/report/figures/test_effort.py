"""What is drawn of PSR against gradients, against numbers worked by hand."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from statsmodels.stats.proportion import proportion_confint

from orchestrator.experiment.grid import CloakKey
from orchestrator.experiment.intervals import IntervalKind
from orchestrator.metrics.psr import Rate
from orchestrator.report.figures.effort import MARKERS, Panel, Point, effort, methods_with_gradients, series
from orchestrator.report.figures.style import method_styles
from tests.support.cells import paper_cell
from tests.support.figured import GRID, TABLE, table_results
from tests.support.observed import observations, results

TAKEN: Mapping[str, Mapping[int, float]] = {
    "noise": {4: 0, 8: 0, 16: 0},
    "bim": {4: 5, 8: 10, 16: 20},
    "illc": {4: 50.5, 8: 50.5, 16: 50.5},
}
GRADIENTS = {
    CloakKey(source_model, method, epsilon): gradients
    for source_model in GRID.source_models
    for method, by_epsilon in TAKEN.items()
    for epsilon, gradients in by_epsilon.items()
}


def panel(source_model: str, target_model: str, *, k: int = 1) -> Panel:
    rows = series(table_results(), GRID, gradients=GRADIENTS, k=k)
    (found,) = (
        each for row in rows for each in row if (each.source_model, each.target_model) == (source_model, target_model)
    )
    return found


def drawn(**changes: object) -> Figure:
    return effort(table_results(), GRID, **({"gradients": GRADIENTS, "k": 1} | changes))  # type: ignore[arg-type]


def notes(figure: Figure) -> str:
    return " ".join(text.get_text() for text in figure.texts).replace("\n", " ").replace("\u00a0", " ")


def markers(axes: Axes) -> dict[str, PathCollection]:
    """By the colour of their line."""
    found = (each for each in axes.collections if isinstance(each, PathCollection))
    return {to_hex(tuple(np.asarray(each.get_edgecolor())[0])): each for each in found}


def bars(axes: Axes) -> list[tuple[float, float, float]]:
    """Where they stand, and their ends."""
    found = (bar for each in axes.collections if isinstance(each, LineCollection) for bar in each.get_segments())
    return sorted((x, low, high) for (x, low), (_, high) in found)


def test_rows_are_source_models_and_columns_target_models() -> None:
    rows = series(table_results(), GRID, gradients=GRADIENTS, k=1)
    assert [[(each.source_model, each.target_model) for each in row] for row in rows] == [
        [("facenet", "facenet"), ("facenet", "resnet50")],
        [("resnet50", "facenet"), ("resnet50", "resnet50")],
    ]


@pytest.mark.parametrize(("k", "protected"), [(1, (1, 3, 4)), (5, (1, 2, 4))])
def test_a_line_is_worked_by_hand(k: int, protected: tuple[int, ...]) -> None:
    expected = {
        epsilon: Point(gradients, Rate(successes, 4))
        for (epsilon, gradients), successes in zip(TAKEN["bim"].items(), protected, strict=True)
    }
    assert panel("facenet", "facenet", k=k).lines["bim"] == expected


def test_the_methods_that_take_gradients_have_lines_in_the_paper_s_order_and_the_control_has_a_level() -> None:
    assert list(panel("facenet", "facenet").lines) == ["illc", "bim"]
    assert panel("facenet", "resnet50").control == Rate(1, 4)
    assert panel("resnet50", "facenet").control is None


def test_what_was_not_observed_is_a_gap() -> None:
    line = panel("facenet", "resnet50").lines["bim"]
    assert line == {4: Point(5, Rate(0, 4)), 8: None, 16: Point(20, Rate(2, 2))}
    figure, colour = drawn(), method_styles(GRID)["bim"].colour
    lines = [np.asarray(each.get_xdata()).tolist() for each in figure.axes[1].lines if to_hex(each.get_color()) == colour]
    assert lines == [[5], [20]]
    assert "Where a line is broken or missing, nothing was observed." in notes(figure)


def test_a_cell_whose_cloaks_took_no_gradients_is_left_out_and_is_no_gap() -> None:
    gradients = GRADIENTS | {CloakKey("facenet", "bim", 8): 0.0}
    ((own, _), _) = series(table_results(), GRID, gradients=gradients, k=1)
    assert own.lines["bim"] == {4: Point(5, Rate(1, 4)), 16: Point(20, Rate(4, 4))}


def test_a_method_without_gradients_has_no_line_and_is_named() -> None:
    gradients = {key: 0.0 if key.method == "illc" else taken for key, taken in GRADIENTS.items()}
    assert methods_with_gradients(gradients, GRID) == ("bim",)
    figure = drawn(gradients=gradients)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["BIM", "control"]
    assert "Left out, as they take none: ILLC." in notes(figure)
    assert "Left out" not in notes(drawn())


def test_points_stand_at_their_gradients_and_grow_with_epsilon() -> None:
    found = markers(drawn().axes[0])
    bim, illc = (found[method_styles(GRID)[method].colour] for method in ("bim", "illc"))
    assert np.asarray(bim.get_offsets()).tolist() == [[5, 25], [10, 75], [20, 100]]
    assert np.asarray(illc.get_offsets()).tolist() == [[50.5, 0], [50.5, 25], [50.5, 50]]
    smallest, largest = MARKERS
    assert np.sqrt(bim.get_sizes()) == pytest.approx([smallest, (smallest + largest) / 2, largest])


def test_bars_reach_from_the_low_to_the_high_limit_also_where_a_line_is_upright() -> None:
    limits = {successes: proportion_confint(successes, 4, method="wilson") for successes in range(5)}
    expected = [(x, *limits[n]) for x, n in ((5, 1), (10, 3), (20, 4), (50.5, 0), (50.5, 1), (50.5, 2))]
    found = bars(drawn().axes[0])
    assert found == [pytest.approx((x, 100 * low, 100 * high)) for x, low, high in expected]


@pytest.mark.parametrize(
    ("most", "ticks"),
    [(5, [5]), (9, [5, 10]), (20, [5, 10, 20]), (2000, [10, 100, 1000])],
)
def test_the_axis_is_logarithmic_with_round_numbers_and_the_same_in_all_panels(most: float, ticks: list[int]) -> None:
    gradients = {key: min(most, 5 * taken) if taken > 5 else taken for key, taken in GRADIENTS.items()}
    gradients |= {CloakKey("facenet", "bim", 16): float(most)}
    for axes in drawn(gradients=gradients).axes:
        assert axes.get_xscale() == "log"
        assert axes.get_xlim() == pytest.approx((5 / 1.6, 1.6 * most))
        assert list(axes.xaxis.get_majorticklocs()) == ticks


def test_the_notes_say_what_is_drawn_and_the_caveat() -> None:
    text = notes(drawn(caveat="these are not the paper's figures"))
    assert "A point for each ε: the larger the marker, the larger ε." in text
    assert "Control: no cloak. Bars are 95 % Wilson intervals. N = 1 to 4 photographs in a cell." in text
    assert "These are not the paper's figures." in text
    looked = results(TABLE, ks=(1,), kind=IntervalKind.CONFIDENCE_SEQUENCE)
    assert "Bars are 95 % confidence sequences" in notes(effort(looked, GRID, gradients=GRADIENTS, k=1))


def test_one_budget_is_named() -> None:
    grid = replace(GRID, epsilons=(8,))
    alone = results(observations(paper_cell("facenet", "bim", 8, "facenet"), a=3), ks=(1,))
    assert "ε is 8." in notes(effort(alone, grid, gradients=GRADIENTS, k=1))


def test_a_run_of_nothing_says_so_in_every_panel() -> None:
    figure = effort([], GRID, gradients=GRADIENTS, k=1)
    assert [[text.get_text() for text in axes.texts] for axes in figure.axes] == [["no observations"]] * 4
    figure.draw_without_rendering()


def test_rows_and_columns_are_headed_and_the_name_of_an_ensemble_takes_several_lines() -> None:
    grid = replace(GRID, source_models=("facenet", "facenet+resnet50+senet50"))
    own, other, ensemble, _ = effort(table_results(), grid, gradients=GRADIENTS, k=1).axes
    assert [axes.get_title() for axes in (own, other, ensemble)] == ["read by FaceNet", "read by ResNet-50", ""]
    assert [axes.get_ylabel() for axes in (own, other)] == ["crafted with FaceNet\nPSR@1, %", ""]
    assert ensemble.get_ylabel() == "crafted with FaceNet +\nResNet-50 + SENet-50\nPSR@1, %"
