"""Pictures that the orchestrator makes or takes as cloaks, and their records."""

import hashlib

import numpy as np

from orchestrator.experiment.cloak import CloakRecord
from orchestrator.experiment.grid import CloakKey
from orchestrator.pictures.similarity import LEVELS, MIN_SIDE, Image
from rpc.images.bare_image import BadImageError
from rpc.images.decoding import decoded_image
from rpc.images.limits import ImageLimits


def decoded_picture(encoded: bytes) -> Image:
    """The pixels (H, W, 3) of a picture.

    Raises:
        BadImageError: it is none, or too small to be compared.
    """
    pixels = decoded_image(encoded, limits=ImageLimits())
    height, width, _ = pixels.shape
    if min(height, width) < MIN_SIDE:
        raise BadImageError(expected=f"at least {MIN_SIDE} pixels a side", actual=f"{width} x {height}")
    return pixels


def record_of(key: CloakKey, probe: str, clean: Image, pixels: Image, encoded: bytes) -> CloakRecord:
    """The record of a picture that no source model was asked for.

    Where sizes differ, the largest change is not known: it is stated as the largest there can be.
    """
    same_size = pixels.shape == clean.shape
    return CloakRecord(
        probe=probe,
        key=key,
        n_iter=0,
        gradients=0,
        forward_passes=0,
        largest_change=int(np.abs(pixels.astype(np.int16) - clean).max()) if same_size else LEVELS,
        zero_gradient_share=0.0,
        probe_sha256=hashlib.sha256(clean.tobytes()).hexdigest(),
        sha256=hashlib.sha256(encoded).hexdigest(),
    )
