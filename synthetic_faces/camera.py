"""From light to a photograph: exposure, white balance, tone, blur, sensor noise, 8 bits."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from synthetic_faces.draws import Draws
from synthetic_faces.fields import Field
from synthetic_faces.setting import Camera


def photograph(light: Field, camera: Camera, draws: Draws) -> NDArray[np.uint8]:
    """Light (3, H, W), linear, 0..1 and beyond -> (H, W, 3) RGB levels."""
    balance = np.array(camera.balance, np.float32)[:, None, None] * np.float32(camera.exposure)
    exposed = np.maximum(light * balance, 0.0)
    compressed = exposed * (1.0 + exposed * 0.18) / (1.0 + exposed * 0.46)  # highlights roll off
    levels = 255.0 * np.sqrt(compressed)  # a gamma of 2: the root is exact everywhere
    if camera.blur:
        picture = Image.fromarray(_whole(levels)).filter(ImageFilter.GaussianBlur(camera.blur))
        levels = np.asarray(picture, np.float32).transpose(2, 0, 1)
    height, width = levels.shape[1:]
    noise = draws.grid(height, width) + draws.grid(height, width)
    return _whole(levels + (noise * camera.noise)[None])


def _whole(levels: Field) -> NDArray[np.uint8]:
    """(3, H, W) -> (H, W, 3), rounded half up."""
    whole = np.floor(np.clip(levels, 0.0, 255.0) + 0.5).astype(np.uint8)
    return np.ascontiguousarray(whole.transpose(1, 2, 0))
