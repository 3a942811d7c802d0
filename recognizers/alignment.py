"""Aligned faces: a similarity takes a face's landmarks to a template, and the photo is sampled where it leads.

The template, and that it is met by a similarity, are ArcFace's (Deng et al. 2019), which the networks here were trained
with. From photo to face is one linear map, with the adjoint that takes gradients back.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SIDE = 112  # pixels, of an aligned face
# Where its eyes, its nose and the corners of its mouth are: x and y, a pixel's centre being at whole numbers.
TEMPLATE = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))
OVERSAMPLING = 2  # the photo is reduced to this many times the face's size, where it is larger
MIN_SCALE = 1e-3  # of face to photo: of landmarks that lead nowhere, as all in one point

Landmarks = Sequence[tuple[float, float]]  # five points of a photo, in the template's order


@dataclass(frozen=True)
class Similarity:
    """A rotation, a scale and a shift, in complex numbers x + iy: from p of the photo to a p + b of the face."""

    a: complex
    b: complex

    @classmethod
    def between(cls, landmarks: Landmarks, template: Landmarks = TEMPLATE) -> Self:
        """The one of least squares (Umeyama 1991, in the plane, without reflections)."""
        p, t = (np.array([complex(x, y) for x, y in points]) for points in (landmarks, template))
        from_centre = p - p.mean()
        spread = float((abs(from_centre) ** 2).sum())
        a = complex((from_centre.conj() * (t - t.mean())).sum() / spread) if spread else 0j
        if abs(a) < MIN_SCALE:
            a = complex(MIN_SCALE)
        return cls(a, complex(t.mean() - a * p.mean()))

    @property
    def scale(self) -> float:
        """Pixels of the face for each of the photo."""
        return abs(self.a)

    def back(self, face: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """The points of the photo that come to points of the face."""
        result: NDArray[np.complex128] = (face - self.b) / self.a
        return result


@dataclass(frozen=True)
class _Axis:
    """How an axis of the photo becomes one of the reduced photo, in the part that is sampled."""

    first: int  # pixel of the photo
    matrix: Tensor  # (reduced pixels, pixels of the photo from `first` on), float64
    coordinates: NDArray[np.float64]  # of the samples, in pixels of the part of the reduced photo


class Alignment:
    """The map from a photo to its aligned face, fixed by the photo's size and the face's landmarks.

    The photo is reduced, antialiased by a triangle filter as Pillow's, so that the face is at most twice as large as it will
    be; then each pixel of the face is read between four of the reduced photo's, bilinearly. Beyond the photo it is black.
    """

    def __init__(
        self,
        landmarks: Landmarks,
        shape: Sequence[int],
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float64,
    ) -> None:
        """`shape`: of the photo, (H, W)."""
        similarity = Similarity.between(landmarks)
        columns, rows = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
        points = similarity.back(columns + 1j * rows).ravel()
        reduction = min(1.0, OVERSAMPLING * similarity.scale)
        down = _axis(points.imag, shape[0], reduction)
        across = _axis(points.real, shape[1], reduction)
        self.top, self.left = down.first, across.first
        self.bottom, self.right = down.first + down.matrix.shape[1], across.first + across.matrix.shape[1]
        self._rows, self._columns = (axis.matrix.to(device=device, dtype=dtype) for axis in (down, across))
        places, weights = _bilinear(down.coordinates, across.coordinates, (len(down.matrix), len(across.matrix)))
        self._places = torch.from_numpy(places).to(device)
        self._weights = torch.from_numpy(weights).to(device=device, dtype=dtype)

    def image(self, box: Tensor) -> Tensor:
        """The face (3, 112, 112), real numbers, of the photo's rows `top`..`bottom` - 1 and columns `left`..`right` - 1."""
        reduced = self._rows @ box @ self._columns.T
        samples = reduced.flatten(1)[:, self._places]  # (3, four, pixels)
        return (samples * self._weights).sum(1).view(-1, SIDE, SIDE)

    def pull_back(self, gradient: Tensor) -> Tensor:
        """The adjoint: from a gradient (3, 112, 112) in the face to one in those pixels of the photo."""
        channels, rows, columns = len(gradient), len(self._rows), len(self._columns)
        shares = gradient.flatten(1).unsqueeze(1) * self._weights
        reduced = torch.zeros(channels, rows * columns, device=gradient.device, dtype=gradient.dtype)
        reduced.index_add_(1, self._places.flatten(), shares.flatten(1))
        return self._rows.T @ reduced.view(channels, rows, columns) @ self._columns

    def box(self, photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The pixels of an RGB photo (H, W, 3) that the face is made of."""
        return photo[self.top : self.bottom, self.left : self.right]


def align(photo: NDArray[np.uint8], landmarks: Landmarks) -> NDArray[np.uint8]:
    """The aligned face (112, 112, 3), uint8, of an RGB photo (H, W, 3): rounded half up."""
    alignment = Alignment(landmarks, photo.shape)
    box = torch.from_numpy(alignment.box(photo).copy()).permute(2, 0, 1).double()
    levels = (alignment.image(box) + 0.5).floor().clamp(0, 255)
    return levels.to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


def _axis(samples: NDArray[np.float64], size: int, reduction: float) -> _Axis:
    """Of an axis of `size` pixels, which is sampled at these coordinates: the part that the samples lie in.

    Where none lies in the photo, its first pixel stands for the part.
    """
    reduced = max(1, math.floor(size * reduction + 0.5))
    coordinates = (samples + 0.5) * reduced / size - 0.5
    first = min(max(math.floor(coordinates.min()), 0), reduced - 1)
    last = min(max(math.floor(coordinates.max()) + 1, first), reduced - 1)
    scale = size / reduced
    centres = scale * (np.arange(first, last + 1) + 0.5)
    start = max(0, math.floor(centres[0] - scale))
    end = min(size, math.ceil(centres[-1] + scale))
    pixels = np.arange(start, end) + 0.5
    weights = np.clip(1 - np.abs(pixels - centres[:, None]) / scale, 0, None)
    matrix = torch.from_numpy(weights / weights.sum(axis=1, keepdims=True))
    return _Axis(start, matrix, coordinates - first)


def _bilinear(
    rows: NDArray[np.float64], columns: NDArray[np.float64], shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For samples at these coordinates of an image (H, W), the places (4, samples) that they are read at, and their weights.

    A place beyond the image has weight 0.
    """
    places, weights = [], []
    top, left = np.floor(rows), np.floor(columns)
    for down in (0, 1):
        for across in (0, 1):
            row, column = top + down, left + across
            weight = (1 - np.abs(rows - row)) * (1 - np.abs(columns - column))
            inside = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
            places.append(np.where(inside, row * shape[1] + column, 0).astype(np.int64))
            weights.append(np.where(inside, weight, 0))
    return np.stack(places), np.stack(weights)
