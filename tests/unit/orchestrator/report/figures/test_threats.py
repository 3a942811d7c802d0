"""What is drawn of the threat matrix."""

from collections.abc import Sequence
from dataclasses import replace

from matplotlib.figure import Figure

from orchestrator.experiment.grid import Grid
from orchestrator.experiment.intervals import IntervalKind
from orchestrator.metrics.psr import Rate
from orchestrator.report.figures.threats import threats
from orchestrator.report.panels import ThreatPanel

GRID = Grid(("compact-facenet",), ("dlib",), ("bim", "illc"), (16,), (1,), enrolling=("dlib",))
ROWS: dict[str, dict[str, Rate | None]] = {
    "both clean": {"none": Rate(1, 20)},
    "cloaked probe": {"none": Rate(1, 20), "noise": Rate(2, 20), "bim": Rate(20, 20), "illc": Rate(5, 20)},
    "cloaked gallery": {"none": Rate(1, 20), "noise": None, "bim": Rate(3, 18), "illc": None},
    "both cloaked": {"none": None, "noise": None, "bim": None, "illc": None},
}
PANEL = ThreatPanel("compact-facenet", "dlib", False, ROWS)


def figure(panels: Sequence[ThreatPanel]) -> Figure:
    return threats(panels, GRID, k=1, epsilon=16, kind=IntervalKind.WILSON, caveat="these are not the paper's figures")


def test_a_row_stands_for_what_wears_the_cloak_and_one_that_the_run_lacks_is_left_out() -> None:
    drawn = figure([PANEL])
    (axes,) = drawn.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["both clean", "cloaked probe", "cloaked gallery"]
    places = sorted((round(line.get_ydata()[0]), float(line.get_xdata()[0])) for line in axes.lines)  # type: ignore[index,arg-type]
    assert places == [(0, 5), (1, 5), (1, 10), (1, 25), (1, 100), (2, 5), (2, 100 * 3 / 18)]


def test_every_rate_has_its_interval() -> None:
    (axes,) = figure([PANEL]).axes
    bars = sorted(tuple(segment[:, 0]) for each in axes.collections for segment in each.get_segments())  # type: ignore[attr-defined]
    rates = [rate for row in ROWS.values() for rate in row.values() if rate is not None]
    assert bars == sorted((rate.interval.low, rate.interval.high) for rate in rates)


def test_the_notes_say_of_how_many_it_is_and_whose_figures_it_is_not() -> None:
    drawn = figure([PANEL])
    assert drawn.get_suptitle() == "PSR@1 by which pictures wear the cloak, at ε\u00a016"
    notes = drawn.texts[-1].get_text().replace("\n", " ")
    assert "Bars are 95\u00a0% Wilson intervals. N\u00a0=\u00a018 to 20 photographs in a cell." in notes
    assert "These are not the paper's figures." in notes


def test_a_white_box_is_marked_and_more_pairs_stand_in_further_rows() -> None:
    own = replace(PANEL, target_model="compact-facenet-features", is_white_box=True)
    *above, below = figure([own, *[PANEL] * 3]).axes
    assert above[0].get_title().replace("\n", " ") == "compact FaceNet, read by compact FaceNet features (white box)"
    assert below.get_title() == "compact FaceNet, read by dlib"
    assert all(axes.get_position().y0 > below.get_position().y1 for axes in above)
    assert [[label.get_text() for label in axes.get_yticklabels()][:1] for axes in (*above, below)] == [
        *(["both clean"], [""], [""], ["both clean"])
    ]
