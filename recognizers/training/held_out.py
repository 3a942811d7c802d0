"""Accuracy on held-out photographs, seen as the invader sees an unperturbed probe: found, stored, found again, resized."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from recognizers.extraction import FaceDetector, crop, extract_face
from recognizers.networks.recognizer import Recognizer
from recognizers.training.augmentation import stored
from recognizers.training.photographs import FacePhotograph

JPEG_QUALITY = 95  # the protocol's
BATCH = 50


@dataclass(frozen=True)
class Accuracy:
    """How often the true identity is first, and among the first five; no face found counts as wrong."""

    photographs: int
    faces_found: int
    top_1_percent: float
    top_5_percent: float


def accuracy(
    recognizer: Recognizer, photographs: Sequence[FacePhotograph], detector: FaceDetector, *, side: int
) -> Accuracy:
    """Classifies photographs as the invader does, after storage as probes of `side` x `side` pixels."""
    faces: list[NDArray[np.uint8]] = []
    identities = []
    for photograph in photographs:
        with Image.open(io.BytesIO(photograph.jpeg)) as image:
            cropped = crop(np.asarray(image), photograph.box, side=side)
        probe = np.asarray(stored(Image.fromarray(cropped), quality=JPEG_QUALITY))
        box = extract_face(probe, detector)
        if box is not None:
            faces.append(crop(probe, box, side=recognizer.input_size))
            identities.append(photograph.identity)
    top_1 = top_5 = 0
    for start in range(0, len(faces), BATCH):
        images = torch.from_numpy(np.stack(faces[start : start + BATCH])).permute(0, 3, 1, 2).float()
        with torch.no_grad():
            ranked = recognizer.logits(images).topk(min(5, len(recognizer.label_set)), dim=1).indices
        hits = ranked == torch.tensor(identities[start : start + BATCH])[:, None]
        top_1 += int(hits[:, 0].sum())
        top_5 += int(hits.any(dim=1).sum())
    count = len(photographs)
    return Accuracy(count, len(faces), round(100 * top_1 / count, 2), round(100 * top_5 / count, 2))
