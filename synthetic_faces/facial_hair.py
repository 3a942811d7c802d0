"""Eyebrows and beards: hair that grows on the skin."""

import numpy as np

from synthetic_faces.fields import Field, bump, clamp, coloured, grain, mix, ridge, sample, smoothstep
from synthetic_faces.identity import Identity
from synthetic_faces.setting import Expression


def paint_brows(colour: Field, person: Identity, expression: Expression, x: Field, y: Field) -> None:
    """Paints both eyebrows over the skin's colour (3, H, W)."""
    brows = person.brows
    side = np.abs(x)
    along = (side - person.eyes.spacing - 0.005) / brows.length  # -1 at the nose, 1 at the temple
    arch = brows.arch * (1.0 - (along - 0.25) * (along - 0.25)) - brows.slope * along
    middle = -brows.height - arch - expression.brows_raised
    thick = brows.thickness * (1.0 - 0.62 * smoothstep(-0.2, 1.0, along)) * (0.72 + 0.28 * smoothstep(-1.0, -0.6, along))
    hairs = sample(person.hair.strands, (along * 0.9 - (y - middle) * 9.0) * 34.0, y * 22.0 + side * 9.0)
    within = ridge((y - middle) / (thick * 1.75)) * smoothstep(-1.08, -0.82, along) * smoothstep(1.06, 0.70, along)
    dense = clamp(within * (1.15 + 0.75 * hairs)) * brows.density
    colour[:] = mix(colour, coloured(brows.colour, 1.0 + 0.5 * hairs), clamp(dense * 1.1) * 0.93)


def paint_beard(colour: Field, person: Identity, x: Field, y: Field) -> Field:
    """Paints the beard over the skin's colour (3, H, W); returns how much of each pixel it covers."""
    beard, lips = person.beard, person.lips
    if not (beard.lip or beard.chin or beard.cheeks):
        return np.zeros_like(x)
    side = np.abs(x)
    blotch = 0.09 * sample(person.hair.locks, y * 13.0, x * 13.0)
    moustache = smoothstep(person.nose.length + 0.06, person.nose.length + 0.10, y + 0.05 * side)
    moustache *= smoothstep(lips.height + 0.03, lips.height - 0.03, y - 0.14 * side) * smoothstep(0.34, 0.25, side)
    chin = smoothstep(lips.height + 0.02, lips.height + 0.12, y + blotch) * smoothstep(0.36, 0.25, side + 0.3 * blotch)
    chin = np.maximum(chin, ridge((side - 0.29) / 0.07) * smoothstep(lips.height - 0.12, lips.height, y))
    cheek_line = 0.60 - 0.62 * np.maximum(side - 0.36, 0.0) / 0.3 + 0.5 * blotch
    cheeks = smoothstep(cheek_line - 0.06, cheek_line + 0.09, y) * smoothstep(0.25, 0.34, side)
    cover = np.maximum(np.maximum(beard.lip * moustache, beard.chin * chin), beard.cheeks * cheeks)
    cover *= 1.0 - smoothstep(
        0.3, 0.7, bump(x, y, at=(0.0, lips.height + 0.006), radii=(lips.width * 1.12, lips.lower * 1.5))
    )
    fine = grain(person.skin.texture, y * 83.0, x * 83.0)
    stray = 4.0 * person.hair.curl * sample(person.hair.locks, y * 6.0, np.zeros_like(y))
    strands = sample(person.hair.strands, x * 120.0 + stray, y * 13.0 + 3.0 * x)
    texture = mix(0.52 + 0.42 * fine, 0.86 + 0.32 * strands, beard.length)
    cover = clamp(cover * texture * (0.75 + 0.4 * beard.length))
    red, green, blue = person.hair.colour
    hair = (red * 0.8 + 0.004, green * 0.8 + 0.003, blue * 0.8 + 0.003)
    colour[:] = mix(colour, coloured(hair, 1.0 + 0.7 * strands), cover)
    return cover
