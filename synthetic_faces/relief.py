"""What stands out from the head's ellipses: nose, brow ridge, sockets, cheekbones, lips, chin; in face units along z."""

import numpy as np

from synthetic_faces.fields import Field, bump, mix, ridge, smoothstep
from synthetic_faces.identity import Identity, Nose
from synthetic_faces.setting import Expression


def nose_relief(nose: Nose, x: Field, y: Field) -> Field:
    """The nose alone: the only part that stands out far enough to hide what is behind it."""
    along = np.clip((y + 0.06) / (nose.length + 0.06), 0.0, 1.0)
    bow = nose.hook * 4.0 * along * (1.0 - along)
    height = (0.18 + 0.82 * along * along * (1.4 - 0.4 * along)) * nose.projection + bow
    below = smoothstep(nose.length + 0.085, nose.length - 0.045, y)
    above = smoothstep(-0.26, 0.02, y)
    half = 2.1 * mix(np.full_like(y, nose.bridge), nose.wings * 0.80, along * along)
    back = ridge(x / half) * height * below * above
    tip = bump(x, y, at=(0.0, nose.length - 0.012), radii=(0.10 + 0.03 * nose.tip, 0.105)) * (0.03 + 0.035 * nose.tip)
    side = np.abs(x)
    wings = bump(side, y, at=(nose.wings * 0.70, nose.length + 0.005), radii=(0.072, 0.075)) * 0.062
    return back + tip + wings


def relief(person: Identity, expression: Expression, x: Field, y: Field) -> Field:
    """All that stands out, the nose included."""
    side = np.abs(x)
    eyes, lips, skull = person.eyes, person.lips, person.skull
    smile, age = expression.smile, person.skin.age
    total = nose_relief(person.nose, x, y)
    total += bump(side, y, at=(0.24, -0.145), radii=(0.34, 0.12)) * skull.brow_ridge
    total -= bump(side, y, at=(eyes.spacing * 0.96, 0.0), radii=(0.25, 0.175)) * (eyes.depth + 0.02)
    total += bump(side, y, at=(eyes.spacing, 0.0), radii=(eyes.width * 1.25, eyes.width * 1.15)) * 0.052
    total += bump(side, y, at=(0.40, 0.27 - 0.05 * smile), radii=(0.27, 0.24)) * (skull.cheekbone + 0.035 * max(smile, 0.0))
    total -= bump(side, y, at=(0.47, 0.55), radii=(0.22, 0.3)) * 0.025
    mouth = lips.height
    total += bump(x, y, at=(0.0, mouth), radii=(0.42, 0.27)) * 0.05
    total += bump(x, y, at=(0.0, mouth + lips.lower * 0.5), radii=(lips.width * 0.85, lips.lower * 1.05)) * 0.035
    total += bump(x, y, at=(0.0, mouth - lips.upper * 0.5), radii=(lips.width * 0.8, lips.upper * 1.2)) * 0.026
    total -= bump(x, y, at=(0.0, mouth + lips.lower + 0.065), radii=(0.20, 0.065)) * 0.035
    total -= bump(x, y, at=(0.0, mouth - 0.105), radii=(0.045, 0.085)) * 0.016
    total += bump(x, y, at=(0.0, 0.885), radii=(0.24, 0.16)) * 0.055
    if skull.chin_dimple:
        total -= bump(x, y, at=(0.0, 0.885), radii=(0.035, 0.06)) * (0.02 * skull.chin_dimple)
    # The fold from the nose's wing to beside the corner of the mouth.
    fold_x = person.nose.wings + 0.045 + (y - person.nose.length) * (0.42 + 0.12 * smile)
    fold = ridge((side - fold_x) / 0.045) * smoothstep(0.36, 0.46, y) * smoothstep(mouth + 0.14, mouth - 0.02, y)
    total -= fold * (0.008 + 0.016 * age + 0.018 * max(smile, 0.0))
    if age > 0.35:
        lines = ridge((y + 0.36) / 0.016) + ridge((y + 0.43) / 0.014) + ridge((y + 0.29) / 0.012)
        total -= lines * ridge(x / 0.4) * (0.006 * (age - 0.35) + 0.1 * max(expression.brows_raised, 0.0) * age)
    return total
