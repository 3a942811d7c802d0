"""Faces that no one has, drawn for tests: plain shading, but MTCNN finds them, and a face's numbers are its identity."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 240  # pixels

Canvas = NDArray[np.float64]


def draw_face(identity: int, photo: int = 0, *, side: int = SIDE) -> NDArray[np.uint8]:
    """An RGB photo (side, side, 3) of a drawn face; `photo` varies light, place and noise, not the face."""
    face, shot = np.random.default_rng(identity), np.random.default_rng([identity, photo + 1])
    y, x = np.mgrid[0:side, 0:side] / side * 2 - 1
    x, y = x - shot.uniform(-0.06, 0.06), y - shot.uniform(-0.06, 0.06)
    width, height = face.uniform(0.42, 0.5), face.uniform(0.58, 0.66)
    skin = np.array([face.uniform(150, 230), face.uniform(110, 175), face.uniform(90, 145)])
    hair = face.uniform(20, 110, 3) * np.array([1.0, 0.8, 0.6])
    canvas = np.ones((side, side, 3)) * shot.uniform(90, 200, 3)
    _blend(canvas, hair, _ellipse(x, y + 0.12, width * 1.18, height * 1.12))
    light = np.clip(1.05 - 0.35 * ((x / width) ** 2 + (y / height) ** 2) + 0.12 * x * shot.uniform(-1, 1), 0.3, 1.2)
    _blend(canvas, skin * light[..., None], _ellipse(x, y, width, height))
    gap, level = face.uniform(0.17, 0.21), face.uniform(-0.16, -0.08)
    for sign in (-1, 1):
        eye_x = x - sign * gap
        _blend(canvas, skin * 0.75, _ellipse(eye_x, y - level, 0.13, 0.085), 0.7)
        _blend(canvas, np.array([235.0, 232, 228]), _ellipse(eye_x, y - level, 0.085, face.uniform(0.035, 0.045)))
        _blend(canvas, face.uniform(20, 110, 3), _ellipse(eye_x, y - level, 0.04, 0.042))
        _blend(canvas, np.zeros(3), _ellipse(eye_x, y - level, 0.018, 0.018))
        _blend(canvas, hair * 0.8, _ellipse(eye_x, y - level + face.uniform(0.09, 0.12), 0.12, 0.022))
    _blend(canvas, skin * 0.8, _ellipse(x - 0.03, y - 0.08, face.uniform(0.035, 0.06), 0.16), 0.6)
    for sign in (-1, 1):
        _blend(canvas, skin * 0.4, _ellipse(x - sign * 0.045, y - 0.17, 0.022, 0.014))
    lips = np.array([face.uniform(140, 190), face.uniform(60, 95), face.uniform(60, 95)])
    _blend(canvas, lips, _ellipse(x, y - face.uniform(0.31, 0.35), face.uniform(0.12, 0.17), 0.045))
    _blend(canvas, lips * 0.5, _ellipse(x, y - 0.33, 0.13, 0.008))
    return np.clip(canvas + shot.normal(0, 2, canvas.shape), 0, 255).astype(np.uint8)


def _ellipse(x: Canvas, y: Canvas, half_width: float, half_height: float) -> Canvas:
    distance = np.sqrt((x / half_width) ** 2 + (y / half_height) ** 2)
    return np.clip((1 - distance) * half_width * 60 + 0.5, 0, 1)


def _blend(canvas: Canvas, colour: Canvas, mask: Canvas, strength: float = 1.0) -> None:
    share = (mask * strength)[..., None]
    canvas[:] = canvas * (1 - share) + colour * share


def jpeg(pixels: NDArray[np.uint8], **parameters: object) -> bytes:
    """Pixels as a JPEG file's bytes."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", **({"quality": 95} | parameters))
    return buffer.getvalue()


def write_data_set(root: Path, *, identities: int, photos: int = 1) -> list[str]:
    """Writes a folder of identity folders and returns the identities' names, in class order."""
    names = [f"drawn_{identity:03}" for identity in range(identities)]
    for identity, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for photo in range(photos):
            (root / name / f"{photo}.jpg").write_bytes(jpeg(draw_face(identity, photo)))
    return names
