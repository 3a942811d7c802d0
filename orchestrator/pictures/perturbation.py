"""Perturbations as pictures."""

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # (H, W, 3) RGB

GREY = 127.5  # levels: where a pixel did not move


def magnified_perturbation(probe: Pixels, cloak: Pixels, *, epsilon: int) -> Pixels | None:
    """Cloak minus probe (height, width, 3), so magnified that -epsilon is black, 0 grey and +epsilon white.

    Storage may carry a pixel past epsilon; it is then as black or white as can be. Where epsilon is 0, the largest change is
    in its place. None where the two are not of one size.
    """
    if probe.shape != cloak.shape:
        return None
    perturbation = cloak.astype(np.float64) - probe.astype(np.float64)
    largest = epsilon or float(np.abs(perturbation).max()) or 1
    return np.clip(np.rint(GREY + perturbation * (GREY / largest)), 0, 255).astype(np.uint8)
