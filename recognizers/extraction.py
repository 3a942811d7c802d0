"""Face extraction: how protector and invader find a face, and by which rules they cut it out.

Every constant is a choice of the protocol document where the paper is silent, and stands in a run's manifest.
"""

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from recognizers.alignment import OVERSAMPLING, SIDE, Landmarks, align
from recognizers.without_compiler import without_compiler

with without_compiler():
    from facenet_pytorch import MTCNN

THRESHOLDS = (0.6, 0.7, 0.7)
MIN_PROBABILITY = 0.9
SMALLEST_FACE = 20  # pixels
FACES_ACROSS = 5  # a face smaller than a fifth of the photo's shorter side is not looked for
SQUARE_SCALE = 1.3  # VGGFace2's own crop (Cao et al. 2018)
# The rules in words, as the services state them.
_FOUND = (
    f"MTCNN, thresholds {', '.join(map(str, THRESHOLDS))}, faces of max({SMALLEST_FACE}, min(height, width) / "
    f"{FACES_ACROSS}) pixels and more; of those of probability {MIN_PROBABILITY} or more the largest box, ties by "
    "probability; "
)
EXTRACTION_RULE = (
    f"{_FOUND}the square of {SQUARE_SCALE} times its longer side around its centre, shifted into the photo; "
    "resized bilinearly, antialiased"
)
_ALIGNED_RULE = (
    f"{_FOUND}its five landmarks taken to ArcFace's template of {SIDE} x {SIDE} by the similarity of least squares; the "
    f"photo reduced, antialiased, where the face is more than {OVERSAMPLING} times as large, then read bilinearly, black "
    "beyond it"
)


@dataclass(frozen=True)
class Face:
    """A detected face: its box in pixels, which may hang over the photo's edge, and the detector's probability."""

    left: float
    top: float
    right: float
    bottom: float
    probability: float
    landmarks: Landmarks | None = None  # eyes, nose, corners of the mouth; None: not looked for

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top


@dataclass(frozen=True)
class CropBox:
    """Where to crop, in whole pixels: rows top..bottom - 1, columns left..right - 1; and the landmarks of the face there."""

    left: int
    top: int
    right: int
    bottom: int
    landmarks: Landmarks | None = field(default=None, compare=False)


FindFace = Callable[[NDArray[np.uint8]], CropBox | None]  # in an RGB photo (H, W, 3); None where there is none


class FaceDetector(Protocol):
    """Finds faces in an RGB photo (H, W, 3), uint8."""

    def detect(self, photo: NDArray[np.uint8]) -> Sequence[Face]:
        """All faces found, in any order; none is an empty sequence."""
        ...


class MtcnnDetector:
    """MTCNN (Zhang et al. 2016), as facenet-pytorch ships it with its weights."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        # One a thread: how small a face may be is kept in the detector.
        self._of_thread = threading.local()

    def detect(self, photo: NDArray[np.uint8]) -> Sequence[Face]:
        if min(photo.shape[:2]) < SMALLEST_FACE:
            return ()  # MTCNN fails where not even the smallest face has room
        mtcnn = self._mtcnn()
        # Sized to the photo: small faces in large photos cost most of the time and are never the subject.
        mtcnn.min_face_size = max(SMALLEST_FACE, min(photo.shape[:2]) / FACES_ACROSS)
        boxes, probabilities, points = mtcnn.detect(photo, landmarks=True)
        if boxes is None:
            return ()
        return [
            Face(
                float(left),
                float(top),
                float(right),
                float(bottom),
                float(probability),
                tuple((float(x), float(y)) for x, y in landmarks),
            )
            for (left, top, right, bottom), probability, landmarks in zip(boxes, probabilities, points, strict=True)
        ]

    def _mtcnn(self) -> Any:
        if not hasattr(self._of_thread, "mtcnn"):
            mtcnn = MTCNN(thresholds=list(THRESHOLDS), keep_all=True, device=self._device)
            self._of_thread.mtcnn = mtcnn.to(memory_format=torch.channels_last)  # a third faster
        return self._of_thread.mtcnn


def extract_face(photo: NDArray[np.uint8], detector: FaceDetector) -> CropBox | None:
    """Where the face of an RGB photo (H, W, 3) is to be cropped; None where no face is found."""
    face = choose_face(detector.detect(photo))
    height, width = photo.shape[:2]
    return None if face is None else crop_box(face, width=width, height=height)


def choose_face(faces: Sequence[Face]) -> Face | None:
    """The largest face of those with probability >= 0.9, ties by probability; None where there is none."""
    certain = [face for face in faces if face.probability >= MIN_PROBABILITY]
    return max(certain, key=lambda face: (face.width * face.height, face.probability), default=None)


def crop_box(face: Face, *, width: int, height: int) -> CropBox:
    """The square of 1.3 times the box's longer side around its centre, within a photo of `width` x `height` pixels.

    Its side is limited to the photo's shorter side, and it is shifted inside the photo rather than clipped. Corners are
    rounded half up.
    """
    side = min(SQUARE_SCALE * max(face.width, face.height), width, height)
    left = min(max((face.left + face.right - side) / 2, 0), width - side)
    top = min(max((face.top + face.bottom - side) / 2, 0), height - side)
    return CropBox(_round(left), _round(top), _round(left + side), _round(top + side), face.landmarks)


def _round(coordinate: float) -> int:
    return math.floor(coordinate + 0.5)


def region(photo: NDArray[np.uint8], box: CropBox) -> NDArray[np.uint8]:
    """A photo's own pixels in a box, (H, W, 3): a copy, so that the photo can be let go."""
    return photo[box.top : box.bottom, box.left : box.right].copy()


def crop(photo: NDArray[np.uint8], box: CropBox, *, side: int) -> NDArray[np.uint8]:
    """Crops and resizes bilinearly (Pillow, antialiased) to (side, side, 3), uint8."""
    face = Image.fromarray(region(photo, box))
    return np.asarray(face.resize((side, side), Image.Resampling.BILINEAR))


class Extraction(Enum):
    """By which rule a network's faces are cut out."""

    SQUARE = EXTRACTION_RULE  # the crop box, resized
    ALIGNED = _ALIGNED_RULE  # the landmarks, brought to a template: see `recognizers.alignment`

    @property
    def in_words(self) -> str:
        """The rule, as the services state it."""
        return self.value

    @property
    def takes_crops(self) -> bool:
        """Whether a whole picture, resized, can stand for a face that was cut out."""
        return self is Extraction.SQUARE

    def cut_out(self, photo: NDArray[np.uint8], box: CropBox, *, side: int) -> NDArray[np.uint8]:
        """The face (side, side, 3), uint8, that was found in an RGB photo (H, W, 3).

        Raises:
            ValueError: it is to be aligned, and has no landmarks, or another size than that of aligned faces.
        """
        if self is Extraction.SQUARE:
            return crop(photo, box, side=side)
        if box.landmarks is None or side != SIDE:
            raise ValueError(f"an aligned face: expected landmarks and {SIDE} pixels, got {box.landmarks} and {side}")
        return align(photo, box.landmarks)
