"""Noise that is matched to a cloak in SSIM."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from orchestrator.cloaks.noise import matched_noise
from tests.support.drawn_faces import draw_face

Pixels = NDArray[np.uint8]

DRAWN = np.random.default_rng(0)
CLEAN = {
    "face": draw_face(1, side=64),
    "flat": np.full((48, 64, 3), 128, dtype=np.uint8),
    "noise": DRAWN.integers(0, 256, (40, 40, 3), dtype=np.uint8),
    "black": np.zeros((32, 48, 3), dtype=np.uint8),
}


def ssim(first: Pixels, second: Pixels) -> float:
    return float(structural_similarity(first, second, data_range=255, channel_axis=2))  # type: ignore[no-untyped-call]


def one_pixel(clean: Pixels) -> Pixels:
    cloak = clean.copy()
    cloak[20, 20] ^= 128
    return cloak


CLOAKS: dict[str, Callable[[Pixels], Pixels]] = {
    "a level": lambda clean: np.bitwise_xor(clean, np.uint8(1)),
    "one pixel": one_pixel,
    "8 levels": lambda clean: np.clip(clean + DRAWN.choice([-8, 8], clean.shape), 0, 255).astype(np.uint8),
    "mosaic": lambda clean: np.repeat(np.repeat(clean[::8, ::8], 8, axis=0), 8, axis=1),
    "a patch": lambda clean: np.where(np.arange(clean.shape[1])[:, None] < 16, 255 - clean, clean).astype(np.uint8),
}


@pytest.mark.parametrize("content", CLEAN)
@pytest.mark.parametrize("made", CLOAKS)
def test_noise_has_the_ssim_of_the_cloak_whatever_the_picture(content: str, made: str) -> None:
    clean = CLEAN[content]
    cloak = CLOAKS[made](clean)
    noise = matched_noise(clean, cloak, key=b"key")
    assert noise.shape == clean.shape
    assert noise.dtype == np.uint8
    assert ssim(clean, noise) == pytest.approx(ssim(clean, cloak), abs=0.005)
    assert np.array_equal(noise, clean) == np.array_equal(cloak, clean), "a faint cloak has faint noise"


def test_noise_has_one_amplitude_or_two_a_level_apart_in_both_directions() -> None:
    clean = CLEAN["flat"]
    change = matched_noise(clean, CLOAKS["8 levels"](clean), key=b"key").astype(int) - clean
    amplitudes = np.unique(np.abs(change))
    assert len(amplitudes) <= 2
    assert np.ptp(amplitudes) <= 1
    assert 0.45 < (change > 0).mean() < 0.55


def test_a_cloak_that_equals_its_photo_has_that_for_noise() -> None:
    assert np.array_equal(matched_noise(CLEAN["face"], CLEAN["face"].copy(), key=b"key"), CLEAN["face"])


def test_a_cloak_further_off_than_any_noise_gets_the_strongest() -> None:
    clean = CLEAN["noise"]
    assert ssim(clean, 255 - clean) < -0.9
    assert set(np.unique(matched_noise(clean, 255 - clean, key=b"key"))) == {0, 255}


def test_the_key_alone_decides_on_the_signs() -> None:
    clean = CLEAN["face"]
    cloak = CLOAKS["8 levels"](clean)
    first, again, other = (matched_noise(clean, cloak, key=key) for key in (b"one", b"one", b"two"))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
