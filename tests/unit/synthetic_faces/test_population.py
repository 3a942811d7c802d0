"""The population: the same people and photographs everywhere, and others for every other number."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from recognizers.extraction import MtcnnDetector, extract_face
from synthetic_faces import Population, SyntheticFacesError
from tests.support.photograph_digest import GOLDEN, digest


def test_a_seed_gives_the_same_photographs_everywhere() -> None:
    assert digest() == GOLDEN


@pytest.mark.parametrize("disabled", ["X86_V4 AVX512_ICL AVX512_SPR", "X86_V3 X86_V4 AVX512_ICL AVX512_SPR"])
def test_the_processor_s_vector_units_do_not_matter(disabled: str) -> None:
    script = f"from {digest.__module__} import digest; print(digest())"
    # NumPy warns of units that the processor has not got, and only where none of them is there.
    environment = os.environ | {"NPY_DISABLE_CPU_FEATURES": disabled, "PYTHONWARNINGS": "ignore"}
    finished = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120)
    assert finished.stdout.strip() == GOLDEN, finished.stderr


def test_a_photograph_is_rgb_levels() -> None:
    photograph = Population(3).photograph(2, 1)
    assert photograph.shape == (256, 256, 3)
    assert photograph.dtype == np.uint8
    assert photograph.min() < 60
    assert photograph.max() > 150


def test_more_identities_are_the_same_people_and_others() -> None:
    few, many = Population(2), Population(5)
    assert many.names[:2] == few.names
    assert np.array_equal(few.photograph(2, 1), many.photograph(2, 1))


def test_identities_photographs_and_seeds_differ() -> None:
    pictures = [Population(9, seed).photograph(*numbers) for seed in (0, 1) for numbers in ((1, 1), (1, 2), (2, 1))]
    for place, picture in enumerate(pictures):
        for other in pictures[:place]:
            assert np.abs(picture.astype(int) - other).mean() > 3


def test_no_two_seeds_share_a_name() -> None:
    assert not set(Population(300, 0).names) & set(Population(300, 1).names)


def test_the_order_in_which_photographs_are_asked_for_does_not_matter() -> None:
    population = Population(4)
    forwards = [population.photograph(identity, 1) for identity in (1, 2, 3)]
    backwards = [population.photograph(identity, 1) for identity in (3, 2, 1)]
    assert all(np.array_equal(*pair) for pair in zip(forwards, reversed(backwards), strict=True))


def test_a_jpeg_is_the_photograph_at_quality_95() -> None:
    population = Population(1)
    with Image.open(io.BytesIO(population.jpeg(1, 1))) as image:
        stored = np.asarray(image, int)
    # The noise of the sensor is what a JPEG keeps least of.
    assert np.abs(stored - population.photograph(1, 1)).mean() < 4


@pytest.mark.parametrize(
    ("identities", "seed", "complaint"),
    [
        (0, 0, "identities: expected 1..9999, got 0"),
        (10000, 0, "identities: expected 1..9999, got 10000"),
        (3, -1, "seed: expected 0..2147483647, got -1"),
        (3, 2**31, "seed: expected 0..2147483647, got 2147483648"),
    ],
)
def test_a_population_out_of_range_is_refused(identities: int, seed: int, complaint: str) -> None:
    with pytest.raises(SyntheticFacesError, match=f"^{complaint}$"):
        Population(identities, seed)


@pytest.mark.parametrize(
    ("identity", "photograph", "complaint"),
    [
        (0, 1, "identity: expected 1..3, got 0"),
        (4, 1, "identity: expected 1..3, got 4"),
        (1, 0, "photograph: expected 1..9999, got 0"),
        (1, 10000, "photograph: expected 1..9999, got 10000"),
    ],
)
def test_a_photograph_out_of_range_is_refused(identity: int, photograph: int, complaint: str) -> None:
    with pytest.raises(SyntheticFacesError, match=f"^{complaint}$"):
        Population(3).photograph(identity, photograph)


@pytest.mark.parametrize("every", [30, pytest.param(5, marks=pytest.mark.thorough)])
def test_mtcnn_finds_the_faces(every: int) -> None:
    """A sample; docs/embedded-default.md has the 2000."""
    population, detector = Population(300), MtcnnDetector(torch.device("cpu"))
    squares = [extract_face(population.photograph(identity, 3), detector) for identity in range(every, 300, every)]
    assert squares.count(None) <= 1
    sides = [square.right - square.left for square in squares if square]
    assert 120 < min(sides) <= max(sides) < 240, "the face fills the photograph about as VGGFace2's do"
