"""The hair of the head: a shell around the skull, open over the face, made of strands that fall from the parting."""

from dataclasses import dataclass

import numpy as np

from synthetic_faces.fields import Field, clamp, coloured, grain, mix, ridge, sample, smoothstep, wave
from synthetic_faces.head import HEIGHTS, Normals, Profile, Shape, Surface, View, cast, normals
from synthetic_faces.identity import Hair, Identity
from synthetic_faces.lighting import lit
from synthetic_faces.setting import Light

SIDEBURN = 0.08  # y


@dataclass(frozen=True)
class Shell:
    """The hair's outside, as a view sees it."""

    surface: Surface
    strand: Field  # -1..1
    lock: Field
    behind: Field  # how much of each pixel the whole shell covers
    front: Field  # how much of each pixel the part before the face covers
    facing: Normals


def shell_of(person: Identity, head: Shape, view: View, *, windblown: float) -> Shell:
    """The hair of a person in a view."""
    hair = person.hair
    surface = cast(view, _shell_shape(person, head))
    x, y = surface.x, surface.y
    # Strands radiate from the parting; from the side of the head on they hang.
    from_x, from_y = x - hair.parting * 0.6, np.maximum(y + person.skull.height + 0.22, 0.02)
    angle = from_x / (np.abs(from_x) + from_y)
    along = np.sqrt(from_x * from_x + from_y * from_y)
    stray = hair.curl * 0.035 * wave(along * (2.0 + 2.5 * hair.curl) + 3.0 * angle)
    stray = stray + 0.02 * sample(hair.locks, angle * 9.0, along * 2.0) + 0.006 * windblown
    lock = sample(hair.locks, (angle + stray) * 26.0, along * (1.2 + 4.0 * hair.curl))
    strand = sample(hair.strands, (angle + stray) * 175.0, along * (2.0 + 6.0 * hair.curl))
    finer = grain(hair.strands, (angle + stray) * 420.0, along * 3.0)
    strand = 0.6 * strand + 0.4 * finer
    wisps = (0.010 + 0.035 * hair.curl) * lock + (0.010 + 0.012 * hair.curl) * strand
    outline = surface.edge + wisps
    end = smoothstep(0.05, -0.09, y - hair.length - 0.16 * lock * max(hair.length, 0.1) - 0.06 * strand)
    behind = clamp(outline * view.unit * 0.55 + 0.5) * end
    border = _hairline(person, x) + (0.022 + 0.02 * hair.curl) * lock + 0.030 * strand - y
    front = behind * smoothstep(-0.028, 0.03, border)
    bulk = surface.depth + 0.030 * lock + 0.012 * strand
    return Shell(surface, strand, lock, behind, front, normals(bulk, unit=view.unit))


def _shell_shape(person: Identity, head: Shape) -> Shape:
    hair, y = person.hair, HEIGHTS
    # The skull, stretched upwards by the hair's volume.
    stretched = np.where(y < -0.2, (y + 0.2) / (1.0 + hair.volume) - 0.2, y).astype(np.float32)
    width2, depth2 = head.width2.at(stretched), head.depth2.at(stretched)
    temple2, depth_2 = np.float32(person.skull.temple**2), np.float32(person.skull.depth**2)
    if hair.length > 0.4:
        below = y > -0.1
        flare = np.clip((y + 0.1) / 1.2, 0.0, 1.0)
        width2 = np.where(below, temple2 * (1.0 + hair.flare * flare) ** 2, width2)
        depth2 = np.where(below, depth_2 * (1.0 - 0.35 * flare), depth2)
        thick = np.full_like(y, hair.sides)
    else:
        fade = np.clip((SIDEBURN + 0.05 - y) / 0.45, 0.0, 1.0)
        thick = hair.sides * fade * fade * (3.0 - 2.0 * fade)
    wider = np.where(width2 > 0, (np.sqrt(np.maximum(width2, 0.0)) + thick) ** 2, width2)
    deeper = np.where(depth2 > 0, (np.sqrt(np.maximum(depth2, 0.0)) + thick) ** 2, depth2)
    return Shape(Profile(wider.astype(np.float32)), Profile(deeper.astype(np.float32)))


def _hairline(person: Identity, x: Field) -> Field:
    """The y above which hair grows, at the x of the shell."""
    hair, temple = person.hair, person.skull.temple + person.hair.sides
    share = np.abs(x) / temple
    line = -hair.hairline * person.skull.height - hair.receding * ridge((share - 0.58) / 0.42)
    line = line + hair.fringe * smoothstep(0.95, 0.15, np.abs(x - hair.parting) / temple * 0.7)
    low = hair.length + 0.4 if hair.length > 0.4 else SIDEBURN + 0.12
    return mix(line, low, smoothstep(0.6, 1.0, share))


def hair_light(hair: Hair, shell: Shell, light: Light) -> Field:
    """What the hair sends to the camera (3, H, W)."""
    shade = clamp(0.72 + 0.30 * shell.lock + 0.34 * shell.strand)
    depth = mix(0.45 * np.ones_like(shade), 1.0, smoothstep(0.0, 0.16, shell.surface.edge))
    diffuse = lit(shell.facing, light, wrap=0.35)
    colour = coloured(hair.colour, shade * depth) * diffuse
    # The highlight of a bundle of cylinders: a band across the strands, where the surface turns to the light.
    facing = shell.facing
    to_light = light.direction
    upwards = facing.y * 0.9 + 0.42 + 0.22 * shell.strand + 0.15 * shell.lock - 0.25 * to_light[1]
    band = ridge(upwards / 0.55) * clamp(facing.x * to_light[0] + facing.z * to_light[2])
    tone = 0.045 + 0.30 * np.array(hair.colour, np.float32)
    return colour + np.array(light.key, np.float32)[:, None, None] * tone[:, None, None] * (
        band * (0.55 + 0.6 * shell.strand) * depth
    )
