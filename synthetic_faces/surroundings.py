"""What is not the face: background, neck, shoulders, ears."""

import numpy as np

from synthetic_faces.draws import Draws
from synthetic_faces.fields import Field, bump, clamp, coloured, enlarged, mix, ridge, smoothstep
from synthetic_faces.head import Normals, View, normals
from synthetic_faces.identity import Identity
from synthetic_faces.lighting import lit
from synthetic_faces.setting import Setting


def backdrop(setting: Setting, draws: Draws, *, side: int) -> Field:
    """A background out of focus (3, S, S)."""
    coarse = draws.grid(3, 7, 7)
    blobs = draws.grid(5, 5)
    first, second = (np.array(colour, np.float32)[:, None, None] for colour in setting.backdrop)
    fade = enlarged(blobs, height=side, width=side)
    tint = np.stack([enlarged(channel, height=side, width=side) for channel in coarse])
    brightness = 1.0 + 0.10 * (tint[0] + tint[1] + tint[2]) + 0.07 * tint
    light: Field = np.maximum(mix(first, second, smoothstep(-0.7, 0.7, fade)) * brightness, 0.004)
    return light


def body(person: Identity, setting: Setting, view: View) -> tuple[Field, Field, Field]:
    """Neck and shoulders: their light (3, H, W), cover and depth (H, W)."""
    cosine, sine = view.roll
    # The body stays upright when the head rolls.
    u, v = cosine * view.u - sine * view.v, cosine * view.v + sine * view.u
    side = np.abs(u)
    half = person.neck * (1.0 + 0.10 * smoothstep(0.9, 0.5, v)) + 0.22 * ridge((v - 1.55) / 0.5) * (v < 1.55)
    neck = clamp((half - side) * view.unit + 0.5) * smoothstep(0.2, 0.4, v)
    slope = 1.30 + 0.34 * np.maximum(side - person.neck, 0.0) + 0.5 * np.maximum(side - 1.25, 0.0)
    shoulders = clamp((v - slope) * view.unit * 0.6 + 0.5)
    collar = 1.22 + setting.collar * ridge(u / (person.neck + 0.16))
    cloth = clamp((v - collar) * view.unit * 0.6 + 0.5)
    column = np.sqrt(np.maximum(1.0 - (u / (half + 0.06)) * (u / (half + 0.06)), 0.0))
    chest = 0.05 + 0.5 * np.sqrt(np.maximum(1.0 - (u / 1.75) * (u / 1.75), 0.0)) - 0.35 * smoothstep(2.0, 1.25, v)
    depth = mix(0.40 * column - 0.15, chest, smoothstep(1.02, 1.38, v))
    facing = normals(mix(0.40 * column, chest * 0.8, smoothstep(1.02, 1.38, v)), unit=view.unit)
    throat = 1.0 - 0.10 * ridge((side - 0.16 - 0.1 * (1.5 - v)) / 0.09) * smoothstep(0.95, 1.25, v)
    under_chin = 1.0 - 0.52 * smoothstep(1.32, 0.88, v)
    skin = coloured(person.skin.colour, 0.92 * under_chin * throat)
    seam = ridge((v - collar - 0.02) / 0.03) * smoothstep(person.neck + 0.1, person.neck - 0.1, side)
    creases = np.ascontiguousarray(person.hair.locks[:12, :12])  # a few numbers that are the person's own
    weave = 1.0 + 0.10 * enlarged(creases, height=u.shape[0], width=u.shape[1])
    colour = mix(skin, coloured(setting.clothes, weave * (1.0 - 0.3 * seam)), cloth)
    return colour * lit(facing, setting.light), np.maximum(neck, shoulders), depth


def paint_ears(scene: Field, person: Identity, setting: Setting, view: View) -> Field:
    """Paints both ears over the scene (3, S, S); returns where they are, 0..1."""
    cover = np.zeros_like(view.u)
    cosine, sine = view.yaw
    for side in (-1.0, 1.0):
        centre_u = cosine * side * (person.skull.temple * 0.985) + sine * -0.06
        centre_v = 0.13 + view.pitch[1] * 0.06
        box = view.around(left=centre_u - 0.3, right=centre_u + 0.3, top=centre_v - 0.4, bottom=centre_v + 0.4)
        part = view.part(box)
        shown = max(person.ears - side * sine * 0.10, 0.02)
        across, down = (part.u - centre_u) * side, part.v - centre_v - 0.25 * (part.u - centre_u) * side
        oval = 1.0 - np.sqrt((across / shown) * (across / shown) + (down / 0.225) * (down / 0.225))
        here = clamp(oval * shown * view.unit + 0.5)
        shade = (
            0.92 - 0.40 * ridge((oval - 0.34) / 0.22) - 0.35 * bump(across, down, at=(0.0, 0.02), radii=(shown * 0.6, 0.12))
        )
        flat = Normals(np.full_like(oval, 0.6 * side), np.zeros_like(oval), np.full_like(oval, 0.8))
        red, green, blue = person.skin.colour
        colour = coloured((red, green * 0.88, blue * 0.86), shade) * lit(flat, setting.light, wrap=0.3)
        at = (slice(None), *box)
        scene[at] = mix(scene[at], colour, here)
        cover[box] = np.maximum(cover[box], here)
    return cover
