"""One photograph of one person: layers from back to front, each with its own light."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from synthetic_faces.camera import photograph
from synthetic_faces.draws import Draws
from synthetic_faces.eyes import paint_eyes
from synthetic_faces.facial_hair import paint_beard, paint_brows
from synthetic_faces.fields import Box, Field, mix, smoothstep
from synthetic_faces.hair import hair_light, shell_of
from synthetic_faces.head import Normals, Shape, Surface, View, cast, head_shape, normals, view_of
from synthetic_faces.identity import Identity
from synthetic_faces.lighting import lit, shine, unshadowed
from synthetic_faces.mouth import paint_mouth
from synthetic_faces.relief import nose_relief, relief
from synthetic_faces.setting import Setting
from synthetic_faces.skin import skin_colour
from synthetic_faces.spectacles import paint_glasses
from synthetic_faces.surroundings import backdrop, body, paint_ears

FAR = -0.6  # depth of the background, face units


def render(person: Identity, setting: Setting, draws: Draws, *, side: int) -> NDArray[np.uint8]:
    """A photograph (side, side, 3), RGB levels; `draws` is the chance in background and sensor."""
    view = view_of(setting.pose, setting.framing, side=side)
    shape = head_shape(person.skull)
    scene = backdrop(setting, draws, side=side)
    depth = np.full_like(view.u, FAR)
    hair_box = view.around(left=-1.35, right=1.35, top=-1.5, bottom=max(person.hair.length, 0.1) + 0.35)
    shell = None
    if not person.hair.bald:
        shell = shell_of(person, shape, view.part(hair_box), windblown=setting.windblown)
        hair = hair_light(person.hair, shell, setting.light)
        _over(scene, hair * 0.5, shell.behind, hair_box)
    body_box = view.around(left=-9.0, right=9.0, top=0.1, bottom=9.0)
    light, cover, body_depth = body(person, setting, view.part(body_box))
    _over(scene, light, cover, body_box)
    depth[body_box] = np.where(cover > 0.5, body_depth, depth[body_box])
    solid = paint_ears(scene, person, setting, view)
    solid[body_box] = np.maximum(solid[body_box], cover)

    face_box = view.around(left=-1.0, right=1.0, top=-1.35, bottom=1.2)
    face_view = view.part(face_box)
    surface, bulge = _face_surface(person, setting, face_view, shape)
    face_depth = surface.depth + bulge
    depth[face_box] = np.where(surface.cover > 0.5, face_depth, depth[face_box])
    if shell is not None:
        over = np.maximum(shell.surface.depth, depth[hair_box] + 0.03)
        depth[hair_box] = np.where(shell.front > 0.5, over, depth[hair_box])
    shadow = unshadowed(depth, setting.light, unit=view.unit)
    scene *= mix(np.ones_like(shadow), mix(0.55, 1.0, shadow), solid)
    facing = normals(face_depth, unit=view.unit)
    _over(scene, _face_light(person, setting, face_view, surface, facing, shadow[face_box]), surface.cover, face_box)
    if shell is not None:
        _over(scene, hair * mix(0.75, 1.0, shadow[hair_box]), shell.front, hair_box)
    return photograph(scene, setting.camera, draws)


def _over(scene: Field, light: Field, cover: Field, box: Box) -> None:
    at = (slice(None), *box)
    scene[at] = mix(scene[at], light, cover)


def _face_surface(person: Identity, setting: Setting, view: View, shape: Shape) -> tuple[Surface, Field]:
    """The head, its lines of sight bent by what stands out, and how far that stands out towards the camera."""
    toward = view.yaw[0] * view.pitch[0]
    surface = unbent = cast(view, shape)
    for _ in range(2):
        out = nose_relief(person.nose, surface.x, surface.y)
        surface = cast(view, shape, u=view.u - view.yaw[1] * out, v=view.v + view.pitch[1] * toward * out)
    bulge = relief(person, setting.expression, surface.x, surface.y) * toward
    return replace(surface, cover=unbent.cover, edge=unbent.edge), bulge


def _face_light(person: Identity, setting: Setting, view: View, surface: Surface, facing: Normals, shadow: Field) -> Field:
    """What the face sends to the camera (3, S, S)."""
    x, y = surface.x, surface.y
    expression, pixel = setting.expression, 1.0 / view.unit
    colour = skin_colour(person, expression, x, y)
    beard = paint_beard(colour, person, x, y)
    lips = paint_mouth(colour, person, expression, x, y, pixel=pixel)
    paint_brows(colour, person, expression, x, y)
    wet = paint_eyes(colour, person, setting, x, y, pixel=pixel)
    diffuse = lit(facing, setting.light, shadow=shadow)
    # Light that went through the skin comes out red where the shade begins.
    diffuse[0] += 0.045 * (1.0 - wet) * shadow * facing.z
    gloss = shine(facing, setting.light) * (0.075 * person.skin.shine * (1.0 - beard) * (1.0 - wet) + 0.05 * lips)
    # Less light comes from where the surface bends away.
    diffuse *= mix(0.5, 1.0, smoothstep(-0.01, 0.055, surface.edge))
    light = colour * diffuse + (gloss * shadow)[None] * np.array(setting.light.key, np.float32)[:, None, None]
    if person.glasses is not None:
        paint_glasses(light, person.glasses, person, setting.light, x, y, pixel=pixel)
    return light
