"""What the invader does with a photo: find the face once, name it by each target model."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from invader_service.ranking import Candidate, ranked
from recognizers.extraction import FaceDetector, crop, extract_face
from recognizers.recognizer import Recognizer


class Classifier:
    """The target models and the face detector before them. Several threads may classify at a time."""

    def __init__(
        self, target_models: Mapping[str, Recognizer], detector: FaceDetector, *, device: torch.device | None = None
    ) -> None:
        self.target_models = target_models
        self._detector = detector
        self._device = device or torch.device("cpu")

    def classify(
        self, photo: NDArray[np.uint8], *, target_models: Sequence[str], k: int
    ) -> dict[str, list[Candidate]] | None:
        """The ranked candidates of each asked target model; None where no face is found.

        Args:
            photo: (H, W, 3) RGB.
            target_models: names of known target models.
            k: number of candidates, at most the smallest label set.
        """
        square = extract_face(photo, self._detector)
        if square is None:
            return None
        answers = {}
        for name in target_models:
            recognizer = self.target_models[name]
            face = torch.tensor(crop(photo, square, side=recognizer.input_size), device=self._device)
            with torch.inference_mode():
                logits = recognizer.logits(face.permute(2, 0, 1).float()[None])[0]
            answers[name] = ranked(logits, recognizer.label_set, k=k)
        return answers
