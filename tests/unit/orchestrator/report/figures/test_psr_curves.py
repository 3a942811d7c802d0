"""What Figures 3, 4 and 5 draw, against numbers worked by hand from a small table."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from statsmodels.stats.proportion import proportion_confint

from orchestrator.experiment.grid import Grid
from orchestrator.experiment.intervals import IntervalKind
from orchestrator.metrics.confidence_sequence import confidence_sequence
from orchestrator.metrics.psr import Rate
from orchestrator.report.figures.lines import Rates, segments
from orchestrator.report.figures.psr_curves import Panel, psr_curves, series
from orchestrator.report.figures.style import model_styles
from tests.support.cells import paper_cell
from tests.support.figured import GRID, TABLE, table_results
from tests.support.observed import observations, results


def panel(method: str, k: int, *, source_model: str = "facenet") -> Panel:
    rows = series(table_results(), GRID, source_model=source_model)
    (found,) = (each for row in rows for each in row if (each.method, each.k) == (method, k))
    return found


def percents(rates: Rates) -> list[float | None]:
    return [None if rate is None else rate.percent for rate in rates.values()]


def test_rows_are_illc_then_bim_and_columns_are_the_ks_that_the_grid_has() -> None:
    rows = series(table_results(), GRID, source_model="facenet")
    assert [[(each.method, each.k) for each in row] for row in rows] == [
        [("illc", 1), ("illc", 5)],
        [("bim", 1), ("bim", 5)],
    ]


def test_other_methods_have_rows_after_those_of_the_paper() -> None:
    grid = replace(GRID, methods=("fgsm", "bim", "illc"))
    assert [row[0].method for row in series([], grid, source_model="facenet")] == ["illc", "bim", "fgsm"]


@pytest.mark.parametrize(
    ("method", "k", "expected"),
    [
        ("bim", 1, [25, 75, 100]),
        ("bim", 5, [25, 50, 100]),
        ("illc", 1, [0, 25, 50]),
        ("illc", 5, [0, 0, 25]),
    ],
)
def test_a_target_models_line_is_worked_by_hand(method: str, k: int, expected: list[float]) -> None:
    line = panel(method, k).cloaks["facenet"]
    assert percents(line) == expected
    assert list(line) == [4, 8, 16]


@pytest.mark.parametrize(("k", "expected"), [(1, [0, 50, 75]), (5, [0, 25, 50])])
def test_the_noise_controls_line_is_worked_by_hand(k: int, expected: list[float]) -> None:
    assert percents(panel("bim", k).noise["facenet"]) == expected


@pytest.mark.parametrize(("k", "expected"), [(1, [0, 1]), (5, [0, 0])])
def test_the_controls_are_levels_worked_by_hand(k: int, expected: list[int]) -> None:
    assert panel("illc", k).controls == {"facenet": Rate(expected[0], 4), "resnet50": Rate(expected[1], 4)}


def test_a_point_carries_its_wilson_interval_and_its_own_n() -> None:
    short = panel("bim", 1).cloaks["resnet50"][16]
    assert short is not None
    low, high = proportion_confint(2, 2, method="wilson")
    assert (short.n, short.percent) == (2, 100)
    assert (short.interval.low, short.interval.high) == pytest.approx((100 * low, 100 * high))


def test_a_cell_without_observations_is_a_gap_and_not_a_zero() -> None:
    line = panel("bim", 1).cloaks["resnet50"]
    assert percents(line) == [0, None, 100]
    assert [list(stretch) for stretch in segments(line)] == [[4], [16]]


def test_a_control_that_was_not_observed_has_no_level() -> None:
    assert panel("bim", 1, source_model="resnet50").controls == {"facenet": None, "resnet50": None}


def test_cloaks_of_another_source_model_do_not_count() -> None:
    assert percents(panel("bim", 1, source_model="resnet50").cloaks["facenet"]) == [None, 100, None]


def test_columns_are_the_grids_own_where_it_has_none_of_the_papers() -> None:
    rows = series(table_results(), replace(GRID, ks=(2, 10)), source_model="facenet")
    assert [each.k for each in rows[0]] == [2, 10]


def test_segments_are_the_stretches_between_gaps() -> None:
    rate = Rate(2, 4)
    assert segments({2: None, 4: rate, 8: rate, 16: None, 32: None, 64: rate}) == [{4: rate, 8: rate}, {64: rate}]
    assert segments({4: None, 8: None}) == []


def notes(figure: Figure) -> str:
    return " ".join(text.get_text() for text in figure.texts).replace("\n", " ").replace("\u00a0", " ")


def test_the_lines_on_the_axes_are_those_of_the_series() -> None:
    figure = psr_curves(table_results(), GRID, source_model="facenet")
    colour = model_styles(GRID)["facenet"].colour
    drawn = [
        (list(line.get_xdata()), list(line.get_ydata()))  # type: ignore[arg-type]
        for line in figure.axes[2].lines
        if line.get_marker() == "o" and to_hex(line.get_color()) == colour and len(line.get_xdata()) == 3  # type: ignore[arg-type]
    ]
    assert figure.axes[2].get_title() == "BIM, top-1"
    assert sorted(drawn) == [([4, 8, 16], [0, 50, 75]), ([4, 8, 16], [25, 75, 100])]  # noise control, BIM


def test_no_stretch_crosses_a_gap() -> None:
    figure = psr_curves(table_results(), GRID, source_model="facenet")
    colour = model_styles(GRID)["resnet50"].colour
    drawn = [
        list(line.get_xdata())  # type: ignore[arg-type]
        for line in figure.axes[2].lines
        if line.get_marker() == "s" and to_hex(line.get_color()) == colour
    ]
    assert sorted(drawn) == [[1], [4], [16]]  # the control's marker at the edge, and two lone points


def test_a_band_reaches_from_the_low_to_the_high_limit() -> None:
    figure = psr_curves(table_results(), replace(GRID, target_models=("facenet",), methods=("bim",)), source_model="facenet")
    (band,) = figure.axes[0].collections
    heights = np.asarray(band.get_paths()[0].vertices)[:, 1]
    expected = [100 * limit for successes in (1, 3, 4) for limit in proportion_confint(successes, 4, method="wilson")]
    assert np.unique(heights.round(6)) == pytest.approx(np.unique(np.round(expected, 6)))


def test_the_axis_of_epsilon_is_of_base_2_with_the_grids_ticks() -> None:
    axis = psr_curves(table_results(), GRID, source_model="facenet").axes[0].xaxis
    assert axis.get_scale() == "log"
    assert axis.get_transform().base == 2  # type: ignore[attr-defined]
    assert list(axis.get_majorticklocs()) == [4, 8, 16]


def test_the_notes_say_how_many_and_that_there_is_a_gap_and_the_caveat() -> None:
    caveat = "embedded recognizers on synthetic faces: not the paper's figures"
    text = notes(psr_curves(table_results(), GRID, source_model="facenet", caveat=caveat))
    assert "N = 2 to 4 photographs in a cell." in text
    assert "nothing was observed" in text
    assert "Embedded recognizers on synthetic faces: not the paper's figures." in text


def test_a_whole_run_speaks_of_no_gap_and_without_a_caveat_there_is_none() -> None:
    grid = replace(GRID, source_models=("facenet",), target_models=("facenet",))
    text = notes(psr_curves(table_results(), grid, source_model="facenet"))
    assert text.endswith("N = 4 photographs in every cell.")


def test_bands_are_of_the_interval_that_the_results_have_and_the_notes_say_which() -> None:
    kind = IntervalKind.CONFIDENCE_SEQUENCE
    looked = results(TABLE, ks=(1,), kind=kind)
    ((_, *_), (bim, *_)) = series(looked, GRID, source_model="facenet")
    point = bim.cloaks["facenet"][8]
    assert point is not None
    limits = confidence_sequence(3, 4)
    assert (point.interval.low, point.interval.high) == pytest.approx((100 * limits.low, 100 * limits.high))
    assert "confidence sequences: each holds at all looks" in notes(psr_curves(looked, GRID, source_model="facenet"))
    assert "Wilson intervals" in notes(psr_curves(table_results(), GRID, source_model="facenet"))


def test_a_single_subject_is_drawn_with_its_wide_interval() -> None:
    grid = Grid(("facenet",), ("facenet",), ("bim",), (8,), (1,))
    alone = results(observations(paper_cell("facenet", "bim", 8, "facenet"), a=3), ks=(1,))
    ((drawn,),) = series(alone, grid, source_model="facenet")
    point = drawn.cloaks["facenet"][8]
    assert point is not None
    low, _ = proportion_confint(1, 1, method="wilson")
    assert (point.interval.low, point.interval.high, point.n) == pytest.approx((100 * low, 100, 1))
    assert "N = 1 photograph in every cell." in notes(psr_curves(alone, grid, source_model="facenet"))


def test_a_run_of_nothing_says_so_in_every_panel() -> None:
    figure = psr_curves([], GRID, source_model="facenet")
    assert [[text.get_text() for text in axes.texts] for axes in figure.axes] == [["no observations"]] * 4
    assert "Nothing was observed." in notes(figure)


@pytest.mark.parametrize("target_models", [("resnet50",), ("facenet", "resnet50")])
@pytest.mark.parametrize("epsilons", [(4,), (8, 16)])
@pytest.mark.parametrize("methods", [("illc",), ("bim", "illc")])
def test_any_part_of_the_grid_can_be_drawn(
    target_models: tuple[str, ...], epsilons: tuple[int, ...], methods: tuple[str, ...]
) -> None:
    grid = replace(GRID, target_models=target_models, epsilons=epsilons, methods=methods, ks=(5,))
    figure = psr_curves([each for each in table_results(TABLE) if each.k == 5], grid, source_model="facenet")
    assert len(figure.axes) == len(methods)
    figure.draw_without_rendering()
