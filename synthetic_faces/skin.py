"""The colour of skin: base, blood, fine texture, freckles, marks, and the shade in its folds."""

import numpy as np

from synthetic_faces.fields import Field, bump, coloured, grain, mix, ridge, sample, smoothstep
from synthetic_faces.identity import Identity
from synthetic_faces.setting import Expression


def skin_colour(person: Identity, expression: Expression, x: Field, y: Field) -> Field:
    """Reflected light (3, H, W) of the bare face, before eyes, lips and hair."""
    skin, nose, lips = person.skin, person.nose, person.lips
    side = np.abs(x)
    pores = grain(skin.texture, y * 61.0, x * 61.0)
    blotches = sample(skin.texture, y * 9.0 + 7.3, x * 9.0 + 3.1)
    light = 1.0 + 0.05 * pores + 0.06 * blotches
    if skin.freckles:
        across = bump(side, y, at=(0.22, 0.24), radii=(0.55, 0.42))
        spots = smoothstep(0.06, 0.24, sample(skin.spots, y * 46.0, x * 46.0))
        light = light * (1.0 - 0.42 * skin.freckles * spots * across)
    for mark_x, mark_y, radius in skin.marks:
        light = light * (1.0 - 0.72 * smoothstep(0.1, 0.75, bump(x, y, at=(mark_x, mark_y), radii=(radius, radius))))
    light = light * folds(person, expression, x, y)
    colour = coloured(skin.colour, light)
    blood = bump(side, y, at=(0.37, 0.30), radii=(0.34, 0.28)) * 0.75
    blood += bump(x, y, at=(0.0, nose.length - 0.02), radii=(0.17, 0.15)) * 0.6
    blood += bump(x, y, at=(0.0, lips.height), radii=(0.34, 0.17)) * 0.25
    blood *= skin.redness
    colour[1] *= 1.0 - 0.22 * blood
    colour[2] *= 1.0 - 0.20 * blood
    return colour


def folds(person: Identity, expression: Expression, x: Field, y: Field) -> Field:
    """Light that reaches the folds of a face, 0..1: in the sockets, under the nose and the lower lip."""
    side = np.abs(x)
    eyes, nose, lips = person.eyes, person.nose, person.lips
    light = 1.0 - 0.20 * bump(side, y, at=(eyes.spacing * 0.92, -0.035), radii=(0.25, 0.15))
    light = light * (1.0 - 0.22 * bump(side, y, at=(0.085, -0.01), radii=(0.075, 0.14)))
    bags = ridge((y - 0.135 - 0.12 * (side - eyes.spacing) * (side - eyes.spacing) / 0.04) / 0.03)
    light = light * (1.0 - 0.16 * eyes.bags * bags * ridge((side - eyes.spacing + 0.03) / 0.17))
    nostrils = bump(side, y, at=(nose.wings * 0.46, nose.length + 0.045), radii=(nose.wings * 0.34, 0.026))
    light = light * (1.0 - 0.72 * smoothstep(0.1, 0.8, nostrils))
    wing = ridge((side - nose.wings * 1.06) / 0.028) * bump(side, y, at=(nose.wings, nose.length), radii=(0.1, 0.085))
    light = light * (1.0 - 0.30 * wing)
    light = light * (1.0 - 0.18 * bump(x, y, at=(0.0, nose.length + 0.085), radii=(nose.wings * 1.25, 0.055)))
    light = light * (1.0 - 0.22 * bump(x, y, at=(0.0, lips.height + lips.lower + 0.05), radii=(0.17, 0.05)))
    fold_x = nose.wings + 0.045 + (y - nose.length) * (0.42 + 0.12 * expression.smile)
    fold = ridge((side - fold_x) / 0.03) * smoothstep(0.37, 0.46, y) * smoothstep(lips.height + 0.1, lips.height - 0.05, y)
    light = light * (1.0 - (0.05 + 0.15 * person.skin.age + 0.15 * max(expression.smile, 0.0)) * fold)
    return mix(np.ones_like(light), light, 0.95)
