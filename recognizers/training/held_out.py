"""Held-out photographs, seen as the invader sees an unperturbed probe: extraction, JPEG, extraction again, resizing."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from recognizers.extraction import FaceDetector, crop, extract_face
from recognizers.networks.recognizer import Recognizer
from recognizers.training.photographs import FacePhotograph

JPEG_QUALITY = 95  # the protocol's
BATCH = 50


@dataclass(frozen=True)
class Probe:
    """A stored probe, and where the invader finds the face in it."""

    identity: int
    pixels: NDArray[np.uint8]  # (S, S, 3), decoded from the JPEG


@dataclass(frozen=True)
class Accuracy:
    """How often the true identity is first, and among the first five; no face found counts as wrong."""

    probes: int
    faces_found: int
    top_1: int
    top_5: int

    @property
    def top_1_percent(self) -> float:
        return 100.0 * self.top_1 / self.probes

    @property
    def top_5_percent(self) -> float:
        return 100.0 * self.top_5 / self.probes


def stored_probes(photographs: Sequence[FacePhotograph], *, side: int) -> Iterator[Probe]:
    """Each photograph's probe at the input size of a source model, after storage."""
    for photograph in photographs:
        with Image.open(io.BytesIO(photograph.jpeg)) as image:
            probe = crop(np.asarray(image), photograph.square, side=side)
        file = io.BytesIO()
        Image.fromarray(probe).save(file, format="JPEG", quality=JPEG_QUALITY)
        with Image.open(file) as image:
            yield Probe(photograph.identity, np.asarray(image))


def accuracy(recognizer: Recognizer, probes: Sequence[Probe], detector: FaceDetector) -> Accuracy:
    """Classifies probes as the invader does."""
    found: list[tuple[int, NDArray[np.uint8]]] = []
    for probe in probes:
        square = extract_face(probe.pixels, detector)
        if square is not None:
            found.append((probe.identity, crop(probe.pixels, square, side=recognizer.input_size)))
    top_1 = top_5 = 0
    for start in range(0, len(found), BATCH):
        batch = found[start : start + BATCH]
        faces = torch.from_numpy(np.stack([face for _, face in batch])).permute(0, 3, 1, 2).float()
        with torch.no_grad():
            ranked = recognizer.logits(faces).topk(5, dim=1).indices
        hits = ranked == torch.tensor([identity for identity, _ in batch])[:, None]
        top_1 += int(hits[:, 0].sum())
        top_5 += int(hits.any(dim=1).sum())
    return Accuracy(len(probes), len(found), top_1, top_5)
