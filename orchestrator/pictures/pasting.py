"""What somebody publishes of a cloak: the crop itself, or the photo with the cloaked box in its place."""

import numpy as np
from numpy.typing import NDArray

from orchestrator.experiment.cloak import Cloak
from rpc.images.bare_image import BadImageError
from rpc.images.decoding import decoded_image
from rpc.images.limits import ImageLimits

Pixels = NDArray[np.uint8]  # (H, W, 3) RGB


def published(photo: bytes, cloak: Cloak) -> bytes | Pixels:
    """The file of a crop as it came, or the pixels of the upright photo with a box pasted into it.

    Pixels, because as a PNG a large photo takes seconds.

    Raises:
        BadImageError: one of both is no picture, or the box does not fit into the photo.
    """
    box = cloak.record.box
    if box is None:
        return cloak.encoded
    whole, cloaked = (decoded_image(encoded, limits=ImageLimits()) for encoded in (photo, cloak.encoded))
    for what, pixels, size in (
        ("a photo", whole, (box.photo_width, box.photo_height)),
        ("a cloaked box", cloaked, (box.width, box.height)),
    ):
        height, width, _ = pixels.shape
        if (width, height) != size:
            raise BadImageError(expected=f"{what} of {size[0]} x {size[1]} pixels", actual=f"one of {width} x {height}")
    pasted = whole.copy()
    pasted[box.top : box.top + box.height, box.left : box.left + box.width] = cloaked
    return pasted
