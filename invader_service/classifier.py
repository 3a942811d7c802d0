"""What the invader does with a photo: find the face once, name it by each target model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from invader_service.batching import BatchedLogits
from invader_service.disclosure import Candidate
from recognizers.extraction import CropBox, FindFace
from recognizers.galleries.matchers import Matcher
from recognizers.galleries.thresholds import reached
from recognizers.networks.head import Head
from recognizers.networks.label_set import LabelSet
from recognizers.networks.recognizer import Recognizer

PROBABILITY_DECIMALS = 4
NO_MATCHERS: Mapping[str, Matcher] = MappingProxyType({})


@dataclass(frozen=True)
class Answer:
    """What a target model says of a face."""

    candidates: list[Candidate]  # the best first
    reached: Mapping[str, int]  # how many of them reach each threshold of a matcher


class Classifier:
    """The target models and the search for a face before them. Several threads may classify at a time."""

    def __init__(self, logits: BatchedLogits, find_face: FindFace, matchers: Mapping[str, Matcher] = NO_MATCHERS) -> None:
        """`matchers`: those of the target models that compare faces with a gallery."""
        self._logits = logits
        self._find_face = find_face
        self.matchers = matchers

    @property
    def target_models(self) -> Mapping[str, Recognizer]:
        return self._logits.recognizers

    def classify(
        self,
        photo: NDArray[np.uint8],
        *,
        target_models: Sequence[str],
        k: int,
        full: bool = False,
        head_of: Callable[[str], Head] | None = None,
    ) -> dict[str, Answer] | None:
        """The answer of each asked target model; None where no face is found.

        Args:
            photo: (H, W, 3) RGB.
            target_models: names of known target models.
            k: number of candidates, at most the smallest label set.
            full: the photo, whatever its proportions, is taken for a face: a square where it is one, as cloaks are. Not for
                target models whose faces are aligned.
            head_of: gives what a matcher compares with in place of its own gallery; all target models are matchers then.
        """
        height, width = photo.shape[:2]
        region = CropBox(0, 0, width, height) if full else self._find_face(photo)
        if region is None:
            return None
        heads = {} if head_of is None else {name: head_of(name) for name in target_models}
        label_sets = {name: (heads.get(name) or self.target_models[name]).label_set for name in target_models}
        asked = {}
        for name in target_models:
            model = self.target_models[name]
            face = torch.tensor(model.extraction.cut_out(photo, region, side=model.input_size))
            asked[name] = self._logits.ask(name, face.permute(2, 0, 1).float(), head=heads.get(name))
        return {name: self._answer(name, logits.result(), label_set=label_sets[name], k=k) for name, logits in asked.items()}

    def _answer(self, name: str, logits: Tensor, *, label_set: LabelSet, k: int) -> Answer:
        matcher = self.matchers.get(name)
        if matcher is None:
            return Answer(ranked(logits, label_set, k=k), {})
        best = torch.argsort(logits, descending=True, stable=True)[:k]
        candidates = [Candidate(label_set.identities[place], 0.0) for place in best.tolist()]
        return Answer(candidates, reached(logits[best], matcher.thresholds))


def ranked(logits: Tensor, label_set: LabelSet, *, k: int) -> list[Candidate]:
    """The k most probable identities, the most probable first.

    Ordered by probability before any rounding, ties by class index. Softmax in float64, where fewer improbable classes
    tie at zero.

    Args:
        logits: (C,), C being the size of the label set.
        label_set: the identities, in class order.
        k: at most C.
    """
    probabilities = logits.double().softmax(0)
    order = torch.argsort(probabilities, descending=True, stable=True)[:k]
    return [
        Candidate(label_set.identities[place], round(float(probabilities[place]), PROBABILITY_DECIMALS))
        for place in order.tolist()
    ]
