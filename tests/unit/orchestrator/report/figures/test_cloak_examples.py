"""What Figure 2 shows, and what it says it cannot show."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray

from orchestrator.experiment.grid import CloakKey
from orchestrator.pictures.perturbation import magnified_perturbation
from orchestrator.report.figures.cloak_examples import cloak_examples, missing, series
from tests.support.figured import GRID

Image = NDArray[np.uint8]


def picture(level: int, size: int = 4) -> Image:
    return np.full((size, size, 3), level, dtype=np.uint8)


PROBES = {"facenet": picture(100), "resnet50": picture(100, 6)}
CLOAKS = {
    CloakKey(source_model, method, epsilon): picture(100 + epsilon // 2, len(PROBES[source_model]))
    for source_model in GRID.source_models
    for method in GRID.methods
    for epsilon in GRID.epsilons
}


def notes(figure: Figure) -> str:
    return " ".join(text.get_text() for text in figure.texts).replace("\n", " ").replace("\u00a0", " ")


def test_rows_are_source_models_by_methods_with_a_cloak_for_each_epsilon() -> None:
    rows = series(PROBES, CLOAKS, GRID)
    assert [(row.source_model, row.method) for row in rows] == [
        *(("facenet", "illc"), ("facenet", "bim")),
        *(("resnet50", "illc"), ("resnet50", "bim")),
    ]
    for row in rows:
        assert row.probe is PROBES[row.source_model]
        expected = [CLOAKS[CloakKey(row.source_model, row.method, epsilon)] for epsilon in (4, 8, 16)]
        assert all(shown is cloak for shown, cloak in zip(row.cloaks.values(), expected, strict=True))
        assert not row.probe_as_stored
    assert missing(rows) == ""


def test_the_stored_control_stands_in_for_a_lossless_probe_that_is_absent_and_the_figure_says_so() -> None:
    control = picture(99)
    cloaks = CLOAKS | {CloakKey("facenet", "none", 0): control}
    rows = series({"resnet50": PROBES["resnet50"]}, cloaks, GRID)
    assert rows[0].probe is control
    assert [row.probe_as_stored for row in rows] == [True, True, False, False]
    assert "The probes are the controls as stored." in notes(cloak_examples({}, cloaks, GRID))
    assert "controls as stored" not in notes(cloak_examples(PROBES, cloaks, GRID))


def test_a_run_without_stored_cloaks_says_so() -> None:
    text = notes(cloak_examples({}, {}, GRID))
    assert "Missing: every cloak; the run did not keep them, or they were removed since." in text


def test_what_is_missing_is_named() -> None:
    some = {
        key: cloak
        for key, cloak in CLOAKS.items()
        if (key.source_model, key.method) != ("resnet50", "illc") and key != CloakKey("facenet", "bim", 8)
    }
    rows = series({"facenet": PROBES["facenet"]}, some, GRID)
    assert missing(rows).replace("\u00a0", " ") == (
        "Missing: the probe of ResNet-50; FaceNet by BIM at ε 8; all of ResNet-50 by ILLC."
    )
    tiles = cloak_examples({"facenet": PROBES["facenet"]}, some, GRID).axes
    absent = [place for place, axes in enumerate(tiles) if [text.get_text() for text in axes.texts] == ["missing"]]
    assert absent == [6, 8, 9, 10, 11, 12]  # rows of four: probe, then 4, 8, 16


def test_the_pictures_on_the_tiles_are_those_handed_in() -> None:
    tiles = cloak_examples(PROBES, CLOAKS, GRID, subject="Ada/1.jpg", caveat="these are not the paper's figures").axes
    assert len(tiles) == 16
    shown = [int(np.asarray(axes.images[0].get_array())[0, 0, 0]) for axes in tiles[:4]]
    assert shown == [100, 102, 104, 108]
    assert [axes.get_title() for axes in tiles[:4]] == ["probe", "ε\u00a04", "ε\u00a08", "ε\u00a016"]


def test_the_title_names_the_subject_and_the_caveat_stands_below() -> None:
    figure = cloak_examples(PROBES, CLOAKS, GRID, subject="Ada/1.jpg", caveat="these are not the paper's figures")
    assert figure.get_suptitle() == "Cloaks of Ada/1.jpg by noise budget"
    assert "These are not the paper's figures." in notes(figure)


def test_perturbations_are_shown_on_demand_only() -> None:
    assert [row.perturbations for row in series(PROBES, CLOAKS, GRID)] == [{}] * 4
    assert len(cloak_examples(PROBES, CLOAKS, GRID, magnified=True).axes) == 32
    # Every cloak moved by half its epsilon: a quarter of the range above grey.
    for row in series(PROBES, CLOAKS, GRID, magnified=True):
        assert [np.unique(each).tolist() for each in row.perturbations.values() if each is not None] == [[191]] * 3


def test_a_perturbation_goes_from_black_to_white_and_no_further() -> None:
    probe = np.array([[[100, 100, 100], [100, 100, 100], [0, 255, 100]]], dtype=np.uint8)
    cloak = np.array([[[92, 108, 100], [80, 120, 96], [0, 255, 104]]], dtype=np.uint8)
    magnified = magnified_perturbation(probe, cloak, epsilon=8)
    assert magnified is not None
    # 127.5 is rounded to even: 128; -4 of 8 is 63.75, +4 of 8 is 191.25.
    assert magnified.tolist() == [[[0, 255, 128], [0, 255, 64], [128, 128, 191]]]


def test_pictures_of_two_sizes_have_no_perturbation() -> None:
    assert magnified_perturbation(picture(1, 4), picture(1, 5), epsilon=4) is None


@pytest.mark.parametrize("methods", [("bim",), ("illc",)])
def test_any_part_of_the_grid_can_be_drawn(methods: tuple[str, ...]) -> None:
    grid = replace(GRID, source_models=("resnet50",), methods=methods, epsilons=(8,))
    figure = cloak_examples(PROBES, CLOAKS, grid)
    assert [int(np.asarray(axes.images[0].get_array())[0, 0, 0]) for axes in figure.axes] == [100, 104]
