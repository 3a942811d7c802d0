"""Eyes: lids, whites, irises with their texture, lashes, and the light in them."""

import numpy as np

from synthetic_faces.fields import Field, clamp, coloured, mix, ridge, sample, smoothstep, window
from synthetic_faces.identity import Identity
from synthetic_faces.setting import Setting

WHITE = (0.66, 0.62, 0.59)
LASH = (0.016, 0.011, 0.010)


def paint_eyes(colour: Field, person: Identity, setting: Setting, x: Field, y: Field, *, pixel: float) -> Field:
    """Paints both eyes over the skin's colour (3, H, W); returns how wet each pixel is, 0..1."""
    wet = np.zeros_like(x)
    eyes = person.eyes
    soft = pixel / eyes.width * 1.1
    for side in (-1.0, 1.0):
        # In half widths of the eye: the inner corner at -1, the outer at 1.
        across = (x - side * eyes.spacing) * (side / eyes.width)
        down = y / eyes.width + eyes.tilt * across
        box = window((np.abs(across) < 1.5) & (np.abs(down) < 1.2))
        if box is not None:
            skin = colour[(slice(None), *box)]
            inside = _paint_eye(skin, person, setting, across[box], down[box], side=side, soft=soft)
            wet[box] = np.maximum(wet[box], inside)
    return wet


def _paint_eye(
    skin: Field, person: Identity, setting: Setting, across: Field, down: Field, *, side: float, soft: float
) -> Field:
    eyes, expression = person.eyes, setting.expression
    arch = np.maximum(1.0 - across * across, 0.0)
    opening = eyes.opening * expression.eyes_open * (1.0 - 0.14 * max(expression.smile, 0.0))
    upper = -opening * 1.18 * np.sqrt(arch) * (0.55 + 0.45 * arch) * (1.0 - 0.10 * across)
    lower = opening * (0.60 - 0.10 * max(expression.smile, 0.0)) * arch * (1.0 + 0.16 * across)
    inside = smoothstep(-soft, soft, np.minimum(down - upper, lower - down)) * (np.abs(across) < 1.0)

    gaze_x, gaze_y = expression.gaze[0] * side, expression.gaze[1]
    from_x, from_y = across - gaze_x, down + eyes.opening * 0.18 - gaze_y
    radius = np.sqrt(from_x * from_x + from_y * from_y + 1e-6)
    iris = smoothstep(eyes.iris_radius + soft, eyes.iris_radius - soft, radius)
    pupil = smoothstep(eyes.iris_radius * 0.42 + soft, eyes.iris_radius * 0.42 - soft, radius)
    angle = from_x / (np.abs(from_x) + np.abs(from_y) + 1e-3) * 24.0
    fibres = sample(person.skin.texture, angle, radius * 7.0)
    rim = smoothstep(eyes.iris_radius * 0.70, eyes.iris_radius, radius)
    iris_light = (1.05 + 0.45 * fibres) * (1.0 - 0.72 * rim) * (1.0 + 0.7 * clamp(from_y / eyes.iris_radius))
    ball = 1.0 - 0.30 * np.abs(across) * np.abs(across) - 0.42 * smoothstep(upper + 0.34, upper, down)
    shown = mix(coloured(WHITE, ball), coloured(eyes.iris, iris_light * mix(ball, 1.0, 0.4)), iris)
    shown[0] += 0.05 * smoothstep(0.62, 1.0, np.abs(across)) * ball
    shown = mix(shown, 0.004, pupil)
    light_x, light_y, _ = setting.light.direction
    glint_x, glint_y = gaze_x + light_x * side * 0.24, -eyes.opening * 0.18 + gaze_y + light_y * 0.24 - 0.06
    glint = smoothstep(0.13, 0.05, np.sqrt((across - glint_x) * (across - glint_x) + (down - glint_y) * (down - glint_y)))
    shown = mix(shown, 0.85, 0.85 * glint)
    corner = smoothstep(-0.84, -0.98, across)
    shown = mix(shown, coloured((0.42, 0.16, 0.13), np.ones_like(across)), 0.7 * corner)

    near = (np.abs(across) < 1.22).astype(np.float32) * smoothstep(1.22, 0.9, np.abs(across))
    crease = ridge((down - (upper * 1.05 - eyes.crease - 0.10 * arch)) / 0.09) * smoothstep(1.1, 0.5, np.abs(across))
    lid = smoothstep(upper - eyes.crease - 0.12, upper, down) * near
    skin *= 1.0 - 0.38 * crease * (0.4 + eyes.crease * 2.0)
    skin *= 1.0 - 0.12 * lid
    lower_line = ridge((down - lower - 0.05) / 0.10) * near
    skin *= 1.0 - 0.20 * lower_line
    skin[:] = mix(skin, shown, inside)
    outwards = smoothstep(-1.0, 0.9, across)
    lash = ridge((down - upper + 0.02) / (0.085 + 0.05 * outwards + soft * 0.5)) * (np.abs(across) < 1.04)
    skin[:] = mix(skin, coloured(LASH, np.ones_like(across)), lash * (0.62 + 0.36 * eyes.lashes) * (0.6 + 0.4 * outwards))
    return inside
