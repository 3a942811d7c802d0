"""What a recognizer sees of a photograph in training: all that the protocol may do to a face, by chance.

A face is extracted twice (by protector and invader), resized twice, and stored as a JPEG in between. Beyond that come
light, noise, and patches over the face, so that no single feature suffices to know someone by.
"""

import io
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from recognizers.extraction import CropBox
from recognizers.training.photographs import FacePhotograph

PROBE_SIDES = (160, 224)  # those of the three families
FIRST_SHIFT, FIRST_SCALE = 0.04, (0.94, 1.06)  # where the detector's box may be, in shares of its side
SECOND_SCALE = (0.88, 1.0)
JPEG_QUALITY = (75, 100)
# Strong enough that plain noise of the smaller budgets protects nobody: what a cloak does beyond noise is the question.
NOISE, MAX_NOISE = 0.6, 60  # share of the views; levels
PATCHES, PATCH_SIDE = 0.4, (0.08, 0.3)


class AugmentedFaces(Dataset[tuple[Tensor, int]]):
    """Photographs as a recognizer of one input size is trained on; another view of each in every epoch."""

    def __init__(self, photographs: Sequence[FacePhotograph], *, input_size: int, seed: int) -> None:
        self._photographs = photographs
        self._input_size = input_size
        self._seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self._photographs)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        photograph = self._photographs[index]
        chance = np.random.default_rng((self._seed, self.epoch, index))
        face = augmented(photograph.jpeg, photograph.box, input_size=self._input_size, chance=chance)
        return torch.from_numpy(face).permute(2, 0, 1), photograph.identity


def augmented(jpeg: bytes, box: CropBox, *, input_size: int, chance: np.random.Generator) -> NDArray[np.uint8]:
    """One view (input_size, input_size, 3) of the face in a photograph."""
    with Image.open(io.BytesIO(jpeg)) as photo:
        photo.load()
    side = box.right - box.left
    scale = chance.uniform(*FIRST_SCALE)
    shift_x, shift_y = chance.uniform(-FIRST_SHIFT, FIRST_SHIFT, 2) * side
    centre_x, centre_y = (box.left + box.right) / 2 + shift_x, (box.top + box.bottom) / 2 + shift_y
    probe = _square(photo, centre_x, centre_y, side * scale, int(chance.choice(PROBE_SIDES)))
    probe = _lit(probe, chance)
    if chance.random() < NOISE:
        probe = _noisy(probe, chance)
    if chance.random() < 0.75:
        probe = stored(probe, quality=int(chance.integers(*JPEG_QUALITY)))
    second = probe.width * chance.uniform(*SECOND_SCALE)
    room = (probe.width - second) / 2
    centre_x, centre_y = probe.width / 2 + chance.uniform(-room, room, 2)
    face = np.array(_square(probe, centre_x, centre_y, second, input_size))
    if chance.random() < PATCHES:
        _patch(face, chance)
    return face


def _square(image: Image.Image, centre_x: float, centre_y: float, side: float, size: int) -> Image.Image:
    side = min(side, image.width, image.height)
    left = min(max(centre_x - side / 2, 0), image.width - side)
    top = min(max(centre_y - side / 2, 0), image.height - side)
    return image.resize((size, size), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))


def _lit(image: Image.Image, chance: np.random.Generator) -> Image.Image:
    gain, offset = chance.uniform(0.8, 1.2, 3) * chance.uniform(0.9, 1.1), chance.uniform(-15, 15)
    tables = [np.clip(np.arange(256) * part + offset, 0, 255).astype(np.uint8) for part in 0.7 + 0.3 * gain]
    return image.point(np.concatenate(tables).tolist())


def _noisy(image: Image.Image, chance: np.random.Generator) -> Image.Image:
    share = chance.random()
    largest = 1 + int(MAX_NOISE * share * share**0.5)  # weak noise more often than strong
    noise = chance.integers(-largest, largest, (image.height, image.width, 3), dtype=np.int16, endpoint=True)
    return Image.fromarray(np.clip(np.asarray(image, np.int16) + noise, 0, 255).astype(np.uint8))


def stored(image: Image.Image, *, quality: int) -> Image.Image:
    """An image as it comes back from a JPEG file."""
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=quality)
    with Image.open(file) as read:
        read.load()
    return read


def _patch(face: NDArray[np.uint8], chance: np.random.Generator) -> None:
    side = face.shape[0]
    height, width = (chance.uniform(*PATCH_SIDE, 2) * side).astype(int)
    top, left = int(chance.integers(0, side - height)), int(chance.integers(0, side - width))
    face[top : top + height, left : left + width] = chance.integers(0, 256, 3, dtype=np.uint8)
