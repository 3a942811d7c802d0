"""What the invader does with a photo: find the face once, name it by each target model."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from invader_service.batching import BatchedLogits
from invader_service.disclosure import Candidate
from invader_service.ranking import ranked
from recognizers.extraction import CropBox, FaceDetector, OnSearch, crop, extract_face, ignore_search
from recognizers.networks.recognizer import Recognizer


class Classifier:
    """The target models and the face detector before them. Several threads may classify at a time."""

    def __init__(self, logits: BatchedLogits, detector: FaceDetector, *, on_search: OnSearch = ignore_search) -> None:
        self._logits = logits
        self._detector = detector
        self._on_search = on_search

    @property
    def target_models(self) -> Mapping[str, Recognizer]:
        """The target models by name."""
        return self._logits.recognizers

    def classify(
        self, photo: NDArray[np.uint8], *, target_models: Sequence[str], k: int, whole: bool = False
    ) -> dict[str, list[Candidate]] | None:
        """The ranked candidates of each asked target model; None where no face is found.

        Args:
            photo: (H, W, 3) RGB.
            target_models: names of known target models.
            k: number of candidates, at most the smallest label set.
            whole: the photo is taken for a face, whatever its proportions, and none is looked for.
        """
        region = all_of(photo) if whole else self._face(photo)
        if region is None:
            return None
        asked = {}
        for name in target_models:
            face = torch.tensor(crop(photo, region, side=self.target_models[name].input_size))
            asked[name] = self._logits.ask(name, face.permute(2, 0, 1).float())
        return {name: ranked(logits.result(), self.target_models[name].label_set, k=k) for name, logits in asked.items()}

    def _face(self, photo: NDArray[np.uint8]) -> CropBox | None:
        square = extract_face(photo, self._detector)
        self._on_search(found=square is not None)
        return square


def all_of(photo: NDArray[np.uint8]) -> CropBox:
    """The region that holds all of an RGB photo (H, W, 3): a square where the photo is one, as cloaks are."""
    height, width = photo.shape[:2]
    return CropBox(0, 0, width, height)
