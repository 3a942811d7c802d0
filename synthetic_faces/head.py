"""The shape of a head: horizontal slices that are ellipses, seen from anywhere.

A slice at height y has the half width sqrt(width2(y)) and the half depth sqrt(depth2(y)). Turned about the vertical axis
a slice stays an ellipse, so that the line of sight through a pixel meets it where a quadratic says.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from synthetic_faces.fields import Box, Field, window
from synthetic_faces.identity import Skull
from synthetic_faces.setting import Framing, Pose

TOP, BOTTOM, SAMPLES = -1.6, 2.4, 2048  # the heights that a profile covers
HEIGHTS = TOP + (BOTTOM - TOP) / (SAMPLES - 1) * np.arange(SAMPLES, dtype=np.float64)  # of its samples
FLAT = 4.0  # slopes are limited to this: towards the outline they have no bound


class Profile:
    """A smooth curve through points, over height."""

    def __init__(self, table: NDArray[np.float32]) -> None:
        self.table = table

    @classmethod
    def through(cls, points: Sequence[tuple[float, float]]) -> "Profile":
        """A cubic through (y, value) points in order of y; beyond them the curve falls without end."""
        y, value = np.array(points, np.float64).T
        slopes = np.diff(value) / np.diff(y)
        inner = (slopes[1:] + slopes[:-1]) / 2.0
        tangents = np.concatenate([slopes[:1], inner, slopes[-1:]])
        piece = np.clip(np.searchsorted(y, HEIGHTS, side="right") - 1, 0, len(y) - 2)
        width = y[piece + 1] - y[piece]
        t = np.clip((HEIGHTS - y[piece]) / width, 0.0, 1.0)
        rest = 1.0 - t
        curve = (
            value[piece] * (1.0 + 2.0 * t) * rest * rest
            + value[piece + 1] * (3.0 - 2.0 * t) * t * t
            + tangents[piece] * width * t * rest * rest
            - tangents[piece + 1] * width * t * t * rest
        )
        curve -= np.maximum(y[0] - HEIGHTS, 0.0) + np.maximum(HEIGHTS - y[-1], 0.0)
        return cls(curve.astype(np.float32))

    def at(self, y: Field) -> Field:
        """The curve's values at the heights y."""
        place = np.clip((y - TOP) * ((SAMPLES - 1) / (BOTTOM - TOP)), 0.0, SAMPLES - 1.001)
        left = np.floor(place)
        index = left.astype(np.int32)
        low = self.table.take(index)
        return low + (self.table.take(index + 1) - low) * (place - left)


@dataclass(frozen=True)
class Shape:
    """A body of elliptical slices; where a square is not positive there is none."""

    width2: Profile
    depth2: Profile


def head_shape(skull: Skull) -> Shape:
    """The head of a person."""
    top = -skull.height
    width2 = Profile.through(
        [
            (top, 0.0),
            (top * 0.94, (skull.temple * 0.44) ** 2),
            (top * 0.8, (skull.temple * 0.735) ** 2),
            (top * 0.5, (skull.temple * 0.965) ** 2),
            (top * 0.2, skull.temple**2),
            (0.20, skull.cheek**2),
            (0.47, ((skull.cheek + skull.jaw * 1.06) / 2.0) ** 2),
            (0.70, (skull.jaw * 0.92) ** 2),
            (0.88, skull.chin**2),
            (0.965, (skull.chin * 0.62) ** 2),
            (1.0, 0.0),
        ]
    )
    depth2 = Profile.through(
        [
            (top, 0.0),
            (top * 0.94, (skull.depth * 0.44) ** 2),
            (top * 0.8, (skull.depth * 0.74) ** 2),
            (top * 0.5, (skull.depth * 0.96) ** 2),
            (top * 0.2, skull.depth**2),
            (0.3, skull.depth**2 * 0.97),
            (0.72, ((skull.depth + skull.chin_depth) / 2.0) ** 2),
            (0.89, skull.chin_depth**2 * 0.9),
            (1.0, 0.0),
        ]
    )
    return Shape(width2, depth2)


@dataclass(frozen=True)
class View:
    """The plane of the picture, in face units around the point between the eyes, with the head's roll undone."""

    u: Field
    v: Field
    unit: float  # pixels a face unit
    yaw: tuple[float, float]  # cosine, sine
    pitch: tuple[float, float]
    roll: tuple[float, float]

    def part(self, box: Box) -> "View":
        """The part of the view in a box of its pixels."""
        return replace(self, u=self.u[box], v=self.v[box])

    def around(self, *, left: float, right: float, top: float, bottom: float) -> Box:
        """The box of the pixels within these u and v; at least one pixel."""
        found = window((self.u > left) & (self.u < right) & (self.v > top) & (self.v < bottom))
        return found or np.s_[0:1, 0:1]


def turn(half_tangent: float) -> tuple[float, float]:
    """Cosine and sine of an angle, from the tangent of its half."""
    square = half_tangent * half_tangent
    return (1.0 - square) / (1.0 + square), 2.0 * half_tangent / (1.0 + square)


def view_of(pose: Pose, framing: Framing, *, side: int) -> View:
    """How a photograph of side x side pixels shows a head."""
    unit = framing.unit * side
    cosine, sine = turn(pose.roll)
    places = np.arange(side, dtype=np.float32) + 0.5
    across = ((places - framing.centre[0] * side) / unit)[None, :]
    down = ((places - framing.centre[1] * side) / unit)[:, None]
    return View(
        u=cosine * across + sine * down,
        v=cosine * down - sine * across,
        unit=unit,
        yaw=turn(pose.yaw),
        pitch=turn(pose.pitch),
        roll=(cosine, sine),
    )


@dataclass(frozen=True)
class Surface:
    """Where the lines of sight of a view meet a shape."""

    x: Field
    y: Field
    depth: Field  # towards the camera
    cover: Field  # share of each pixel that the shape covers, 0..1
    edge: Field  # distance inside the outline, face units; negative outside


def cast(view: View, shape: Shape, *, u: Field | None = None, v: Field | None = None) -> Surface:
    """The front of a shape, as the view sees it; the lines of sight can be shifted."""
    u, v = view.u if u is None else u, view.v if v is None else v
    cosine, sine = view.yaw
    pitch_cosine, pitch_sine = view.pitch
    y = v / pitch_cosine
    for _ in range(2):  # the pitch moves a point by its depth, which the first round finds
        width2, depth2 = shape.width2.at(y), shape.depth2.at(y)
        a = np.maximum(sine * sine * depth2 + cosine * cosine * width2, 1e-4)
        half_b = cosine * sine * u * (width2 - depth2)
        c = (cosine * cosine * depth2 + sine * sine * width2) * u * u - width2 * depth2
        depth = (np.sqrt(np.maximum(half_b * half_b - a * c, 0.0)) - half_b) / a
        y = (v + pitch_sine * depth) / pitch_cosine
    reach2 = cosine * cosine * shape.width2.table + sine * sine * shape.depth2.table
    reach = Profile(reach2.astype(np.float32))
    slope = Profile(np.gradient(reach2, (BOTTOM - TOP) / (SAMPLES - 1)).astype(np.float32))
    # Near the chin a pitched head ends where the bent line of sight says, elsewhere where the straight one does.
    straight = v / pitch_cosine
    down = slope.at(straight)
    edge = (np.minimum(reach.at(straight), reach.at(y)) - u * u) / np.sqrt(4.0 * u * u + down * down + 1e-3)
    cover = np.clip(edge * view.unit + 0.5, 0.0, 1.0)
    return Surface(cosine * u - sine * depth, y, depth, cover, edge)


@dataclass(frozen=True)
class Normals:
    """Unit vectors off a surface, in the picture's axes: x right, y down, z to the camera."""

    x: Field
    y: Field
    z: Field


def normals(depth: Field, *, unit: float) -> Normals:
    """Of a surface given by its depth in face units at each pixel."""
    across, down = np.zeros_like(depth), np.zeros_like(depth)
    across[:, 1:-1] = (depth[:, 2:] - depth[:, :-2]) * np.float32(unit / 2)
    down[1:-1] = (depth[2:] - depth[:-2]) * np.float32(unit / 2)
    across, down = np.clip(across, -FLAT, FLAT), np.clip(down, -FLAT, FLAT)
    z = 1.0 / np.sqrt(across * across + down * down + 1.0)
    return Normals(-across * z, -down * z, z)
