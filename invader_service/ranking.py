"""From logits to the ranked candidates that may leave the invader."""

import torch
from torch import Tensor

from invader_service.disclosure import Candidate
from recognizers.networks.label_set import LabelSet

PROBABILITY_DECIMALS = 4


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
