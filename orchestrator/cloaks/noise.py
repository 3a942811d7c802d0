"""Noise that takes as much of a picture as a cloak does: the noise control of a cloak with a budget of its own."""

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

from orchestrator.pictures.similarity import LEVELS, Image, ssim

# Of SSIM; a faint cloak is matched more closely, so that its noise is neither nothing nor twice as much.
TOLERANCE, SHARE_OF_DISTANCE = 0.001, 0.05
MAX_STEPS = 40  # of the bisection; each costs an SSIM
PLACES = 2**31


def matched_noise(clean: Image, cloak: Image, *, key: bytes) -> Image:
    """The clean picture with noise of random signs whose SSIM is that of the cloak, within 0.001; both (H, W, 3).

    The noise has one amplitude, or two that are a level apart: whole levels alone would be too coarse for faint cloaks. A
    cloak that equals its clean picture gets that. One that has less in common with it than the strongest noise, as an
    inverted picture has, gets the strongest noise. `key` decides on the signs.
    """
    target = ssim(clean, cloak)
    if target >= 1:
        return clean
    signs, places = _drawn(key, clean.shape)
    tolerance = min(TOLERANCE, SHARE_OF_DISTANCE * (1 - target))
    low, high = 0.0, 1.0
    while (found := ssim(clean, noisy := _noisy(clean, signs, places, high))) > target + tolerance and high < LEVELS:
        low, high = high, min(2 * high, LEVELS)
    if found > target:
        return noisy
    for _ in range(MAX_STEPS):
        if abs(found - target) <= tolerance:
            break
        amplitude = (low + high) / 2
        found = ssim(clean, noisy := _noisy(clean, signs, places, amplitude))
        low, high = (amplitude, high) if found > target else (low, amplitude)
    return noisy


def _noisy(clean: Image, signs: NDArray[np.int16], places: NDArray[np.uint32], amplitude: float) -> Image:
    """With `amplitude` levels more or less, on average; a share of the values has one level more than the others."""
    whole = int(amplitude)
    levels = whole + (places < int((amplitude - whole) * PLACES)).astype(np.int16)
    noisy: Image = np.clip(clean + signs * levels, 0, LEVELS).astype(np.uint8)
    return noisy


def _drawn(key: bytes, shape: tuple[int, ...]) -> tuple[NDArray[np.int16], NDArray[np.uint32]]:
    """For every value a sign, and a place of 0..2^31 - 1, by SHAKE-256: the same on every machine."""
    words = np.frombuffer(hashlib.shake_256(key).digest(4 * math.prod(shape)), dtype="<u4").reshape(shape)
    return (words & 1).astype(np.int16) * 2 - 1, (words >> 1).astype(np.uint32)
