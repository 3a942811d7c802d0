"""The one interface behind which every recognizer stands."""

from typing import Protocol

import torch
from torch import Tensor, nn

from recognizers.extraction import Extraction
from recognizers.networks.head import Head
from recognizers.networks.label_set import LabelSet
from recognizers.networks.network import Network


class Recognizer(Protocol):
    """A face recognizer: scores of the identities of its label set."""

    @property
    def name(self) -> str:
        """The name by which requests refer to it."""
        ...

    @property
    def input_size(self) -> int:
        """Width and height of its input, in pixels."""
        ...

    @property
    def extraction(self) -> Extraction:
        """How faces are cut out for it."""
        ...

    @property
    def label_set(self) -> LabelSet:
        """The identities it can answer with, in class order."""
        ...

    @property
    def head(self) -> Head:
        """From features to logits."""
        ...

    def features(self, images: Tensor) -> Tensor:
        """What the network makes of RGB images, not normalised to unit length.

        Args:
            images: (N, 3, input_size, input_size), floating point, levels 0..255, unnormalised.

        Returns:
            (N, F), float32 or wider whatever the network's own precision; differentiable in `images`.
        """
        ...

    def logits(self, images: Tensor) -> Tensor:
        """Scores (N, len(label_set)) of RGB images: the head's of their features."""
        ...


class Embedder(nn.Module):
    """A network frozen and in evaluation mode, whose features of one face are compared with those of others."""

    def __init__(self, network: Network, *, name: str | None = None) -> None:
        super().__init__()
        self.network = network
        self.name = name or network.name
        self.input_size = network.input_size
        self.extraction = network.extraction
        self.freeze()

    def freeze(self) -> None:
        """No dropout, running BatchNorm statistics, no gradients for weights: attacks only need the input's."""
        self.eval()
        self.requires_grad_(False)

    def features(self, images: Tensor) -> Tensor:
        """See `Recognizer.features`."""
        features: Tensor = self.network(images)
        return features.to(torch.promote_types(features.dtype, torch.float32))


class NeuralRecognizer(Embedder):
    """A network and a head: a classifier, or a matcher where the head is a gallery's."""

    def __init__(self, network: Network, head: Head, *, name: str | None = None) -> None:
        super().__init__(network, name=name)
        self.head = head
        self.label_set = head.label_set
        self.freeze()

    def logits(self, images: Tensor) -> Tensor:
        """See `Recognizer.logits`."""
        return self.head(self.features(images))
