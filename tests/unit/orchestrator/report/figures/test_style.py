"""The palette, for those who print in grey and those who see colours otherwise; scikit-image is the judge of distance."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from numpy.typing import NDArray
from skimage.color import deltaE_ciede2000, rgb2lab

from orchestrator.experiment.grid import EMBEDDED_MODELS, Grid
from orchestrator.report.figures.notes import n_sentence
from orchestrator.report.figures.style import method_styles, model_styles

GRID = Grid()

# Machado, Oliveira, Fernandes 2009 (IEEE TVCG 15:1291), severity 1, on linear RGB.
DEFICIENCIES = {
    "none": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def lab(colour: str, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    encoded = np.array(to_rgb(colour))
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    seen = np.clip(matrix @ linear, 0, 1)
    found: NDArray[np.float64] = rgb2lab(np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055))
    return found


@pytest.mark.parametrize("models", [GRID.source_models, EMBEDDED_MODELS])
@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_three_models_are_told_apart_by_colour_whoever_looks(models: tuple[str, ...], deficiency: str) -> None:
    styles = model_styles(replace(GRID, source_models=models, target_models=models)).values()
    for one, other in combinations([lab(style.colour, DEFICIENCIES[deficiency]) for style in styles], 2):
        assert deltaE_ciede2000(one, other) > 15  # type: ignore[no-untyped-call]


def test_three_models_are_told_apart_by_lightness() -> None:
    lightness = [lab(style.colour, np.eye(3))[0] for style in model_styles(GRID).values()]
    assert min(abs(one - other) for one, other in combinations(lightness, 2)) > 12


def test_every_model_stands_out_from_the_white_page() -> None:
    styles = model_styles(replace(GRID, source_models=tuple("abcdef"))).values()
    assert all(lab(style.colour, np.eye(3))[0] < 70 for style in styles)


def test_models_have_markers_of_their_own() -> None:
    styles = model_styles(replace(GRID, source_models=tuple("abc"), target_models=tuple("cdef"))).values()
    assert len({style.marker for style in styles}) == len({style.colour for style in styles}) == 6


def test_a_model_looks_the_same_as_source_and_as_target() -> None:
    as_source = model_styles(replace(GRID, target_models=("senet50",)))
    as_target = model_styles(GRID)
    assert as_source["senet50"] == as_target["senet50"]


def test_methods_and_controls_are_told_apart_without_colour() -> None:
    styles = method_styles(replace(GRID, methods=("bim", "illc", *"abcdefghijkl"))).values()
    assert len({(style.marker, style.filled, style.dashes) for style in styles}) == 16


def test_methods_are_told_apart_by_fill_alone_where_markers_stand_for_models() -> None:
    methods = ("bim", "illc", "fgsm", "pgd", "a", "b")
    styles = method_styles(replace(GRID, methods=methods))
    assert len({styles[method].fill for method in methods}) == 6


@pytest.mark.parametrize(
    ("ns", "sentence"),
    [
        ([], "Nothing was observed."),
        ([1, 1], "N = 1 photograph in every cell."),
        ([4, 4], "N = 4 photographs in every cell."),
        ([4, 2, 3], "N = 2 to 4 photographs in a cell."),
    ],
)
def test_the_notes_say_of_how_many_photographs(ns: list[int], sentence: str) -> None:
    assert n_sentence(ns).replace("\u00a0", " ") == sentence
