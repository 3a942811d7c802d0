"""A perturbation made visible."""

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]  # (height, width, 3), RGB, levels

GREY = 127.5  # levels: where a pixel did not move


def magnified_perturbation(probe: Image, cloak: Image, *, epsilon: int) -> Image | None:
    """Cloak minus probe (height, width, 3), so magnified that -epsilon is black, 0 grey and +epsilon white.

    Storage may carry a pixel past epsilon; it is then as black or white as can be. None where the two are not of one size.
    """
    if probe.shape != cloak.shape:
        return None
    perturbation = cloak.astype(np.float64) - probe.astype(np.float64)
    return np.clip(np.rint(GREY + perturbation * (GREY / epsilon)), 0, 255).astype(np.uint8)
