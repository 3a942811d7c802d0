"""Light on surfaces: one key light with soft edges, light from all around, shine, and cast shadows."""

import numpy as np

from synthetic_faces.fields import Field, clamp, coloured, smoothstep
from synthetic_faces.head import Normals
from synthetic_faces.setting import Light

SHADOW_STEPS = (2, 4, 7, 11, 16, 23)  # pixels of a photograph of 256


def lit(facing: Normals, light: Light, *, wrap: float = 0.12, shadow: Field | float = 1.0) -> Field:
    """Light (3, H, W) that falls on a surface; `shadow` is the share of the key light that gets there."""
    x, y, z = light.direction
    towards = facing.x * x + facing.y * y + facing.z * z
    key = clamp((towards + wrap) / (1.0 + wrap)) * shadow
    around = 0.72 - 0.28 * facing.y
    return coloured(light.key, key) + coloured(light.ambient, around)


def shine(facing: Normals, light: Light) -> Field:
    """The mirror image of the key light in a rough surface: cosine of the half angle to the power 16."""
    x, y, z = light.direction
    length = (x * x + y * y + (z + 1.0) * (z + 1.0)) ** 0.5
    cosine = clamp((facing.x * x + facing.y * y + facing.z * (z + 1.0)) / length)
    for _ in range(4):
        cosine = cosine * cosine
    return cosine


def unshadowed(depth: Field, light: Light, *, unit: float) -> Field:
    """Share of the key light that nothing in front keeps off, of a scene given by its depth in face units."""
    x, y, z = light.direction
    across = (x * x + y * y) ** 0.5
    height, width = depth.shape
    scale = height / 256.0
    blocked = np.zeros_like(depth)
    for step in SHADOW_STEPS:
        right, down = round(x / (across + 1e-6) * step * scale), round(y / (across + 1e-6) * step * scale)
        rise = (right * right + down * down) ** 0.5 / unit * z / (across + 0.05)
        to = np.s_[max(-down, 0) : height - max(down, 0), max(-right, 0) : width - max(right, 0)]
        source = np.s_[max(down, 0) : height - max(-down, 0), max(right, 0) : width - max(-right, 0)]
        blocked[to] = np.maximum(blocked[to], depth[source] - depth[to] - rise)
    return 1.0 - 0.62 * smoothstep(0.012, 0.11, blocked)
