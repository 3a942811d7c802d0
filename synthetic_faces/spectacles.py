"""Glasses in front of the eyes."""

import numpy as np

from synthetic_faces.fields import Field, clamp, coloured, mix, ridge, smoothstep
from synthetic_faces.identity import Glasses, Identity
from synthetic_faces.setting import Light


def paint_glasses(light: Field, glasses: Glasses, person: Identity, key: Light, x: Field, y: Field, *, pixel: float) -> None:
    """Paints frames and lenses over the face's light (3, H, W); x and y are those of the face."""
    side = np.abs(x)
    across = (side - person.eyes.spacing - 0.012) / glasses.half_width
    down = (y - 0.045) / glasses.half_height
    square = across * across + down * down
    quartic = across * across * across * across + down * down * down * down
    inside = 1.0 - mix(np.sqrt(square), np.sqrt(np.sqrt(quartic)), 0.25 + 0.75 * glasses.roundness)
    size = min(glasses.half_width, glasses.half_height)
    half = (glasses.thickness + 0.4 * pixel) / size
    rim = smoothstep(half + pixel / size, half - pixel / size * 0.5, np.abs(inside))
    inner, outer = (person.eyes.spacing + 0.012 + sign * glasses.half_width for sign in (-1.0, 1.0))
    bridge = ridge((y + 0.015 + x * x) / (glasses.thickness * 1.5)) * smoothstep(0.0, -0.02, side - inner)
    arms = ridge((y + 0.03) / (glasses.thickness * 1.3)) * smoothstep(-0.01, 0.01, side - outer)
    frame = clamp(np.maximum(np.maximum(rim, bridge), arms))
    lens = smoothstep(0.0, 0.05, inside)
    sheen = lens * ridge((across + 0.8 * down + 0.5 - key.direction[0]) / 0.5)
    light *= 1.0 - 0.06 * lens
    light += 0.045 * sheen
    light[:] = mix(light, coloured(glasses.colour, 0.8 + 0.5 * smoothstep(0.0, -half, inside)), frame)
