"""Classifier heads: from a network's features to logits over a label set."""

from typing import Protocol

from torch import Tensor, nn
from torch.nn.functional import normalize

from recognizers.networks.label_set import LabelSet


class Head(Protocol):
    """Anything that scores features against a label set."""

    @property
    def label_set(self) -> LabelSet:
        """The identities scored, in class order."""
        ...

    def __call__(self, features: Tensor) -> Tensor:
        """Logits (N, len(label_set)) of features (N, F)."""
        ...

    def centroid(self, place: int) -> Tensor:
        """Where the features of the identity of a class lie, by direction: (F,), of unit length."""
        ...


class LinearHead(nn.Module):
    """The closed-set classifier that a recognizer was trained with: one linear layer, a row per identity."""

    def __init__(self, feature_size: int, label_set: LabelSet) -> None:
        super().__init__()
        self.label_set = label_set
        self.linear = nn.Linear(feature_size, len(label_set))

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.linear(features)
        return logits

    def centroid(self, place: int) -> Tensor:
        """See `Head.centroid`. A row of weights points where features of its class have been drawn to in training."""
        return normalize(self.linear.weight[place].detach(), dim=0)
