"""The mouth: lips, the line between them, teeth where it is open."""

import numpy as np

from synthetic_faces.fields import Field, coloured, grain, mix, ridge, smoothstep, window
from synthetic_faces.identity import Identity
from synthetic_faces.setting import Expression

TEETH = (0.56, 0.51, 0.43)
INSIDE = (0.045, 0.012, 0.012)


def paint_mouth(colour: Field, person: Identity, expression: Expression, x: Field, y: Field, *, pixel: float) -> Field:
    """Paints the mouth over the skin's colour (3, H, W); returns where lips are, 0..1."""
    wet = np.zeros_like(x)
    box = window((np.abs(x) < 1.6 * person.lips.width) & (np.abs(y - person.lips.height) < 0.25))
    if box is not None:
        wet[box] = _paint(colour[(slice(None), *box)], person, expression, x[box], y[box], pixel=pixel)
    return wet


def _paint(colour: Field, person: Identity, expression: Expression, x: Field, y: Field, *, pixel: float) -> Field:
    lips, smile = person.lips, expression.smile
    half = lips.width * (1.0 + 0.20 * max(smile, 0.0) - 0.10 * expression.mouth_open)
    across = x / half
    within = np.maximum(1.0 - across * across, 0.0)
    centre = lips.height + 0.018 * smile - smile * 0.055 * across * across
    gap = 0.105 * expression.mouth_open * within * (1.0 - 0.35 * max(smile, 0.0))
    bow = 1.0 - lips.bow * ridge(across / 0.30) + lips.bow * 0.5 * ridge((np.abs(across) - 0.3) / 0.3)
    thinner = 1.0 - 0.22 * max(smile, 0.0)
    top = centre - gap * 0.45 - lips.upper * thinner * np.sqrt(within) * (0.35 + 0.65 * within) * bow
    bottom = centre + gap * 0.55 + lips.lower * thinner * within * (1.25 - 0.25 * within)
    soft = pixel * 1.4
    on_mouth = smoothstep(-soft, soft, np.minimum(y - top, bottom - y)) * (within > 0)
    grooves = grain(person.skin.texture, x * 95.0, y * 8.0)
    light = (1.0 + 0.09 * grooves) * mix(0.80 * np.ones_like(y), 1.08, smoothstep(centre - 0.01, centre + 0.02, y))
    colour[:] = mix(colour, coloured(lips.colour, light), on_mouth * lips.redness)
    if expression.mouth_open:
        opening = smoothstep(-soft, soft, np.minimum(y - centre + gap * 0.45, centre + gap * 0.55 - y)) * (within > 0.01)
        behind = coloured(INSIDE, np.ones_like(y))
        row = centre - gap * 0.45 + 0.075
        gaps = ridge((x / 0.050 - np.floor(x / 0.050) - 0.5) / 0.10)
        teeth = (1.0 - 0.25 * gaps) * (1.0 - 0.62 * across * across) * smoothstep(-0.03, 0.022, y - centre + gap * 0.45)
        behind = mix(behind, coloured(TEETH, teeth), smoothstep(soft, -soft, y - row))
        colour[:] = mix(colour, behind, opening)
    line = (
        ridge((y - centre) / (0.016 + pixel * 0.6)) * smoothstep(1.06, 0.92, np.abs(across)) * (1.0 - expression.mouth_open)
    )
    colour *= 1.0 - 0.62 * line
    corners = ridge((np.abs(across) - 1.0) / 0.16) * ridge((y - centre) / 0.035)
    colour *= 1.0 - 0.38 * corners
    return on_mouth
