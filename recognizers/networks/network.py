"""The seam between networks and classifiers: a network turns images into features, a head turns features into logits."""

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import ClassVar

from torch import Tensor, nn

from recognizers.extraction import Extraction
from recognizers.networks.state_dict_format import StateDictFormat


class Distance(StrEnum):
    """How features of two faces are compared."""

    COSINE = "cosine"
    EUCLIDEAN = "Euclidean"


class Network(nn.Module, ABC):
    """A feature extractor that does its own normalisation.

    Its `backbone` holds the parameters under the names of the library it comes from; its checkpoints' `formats` are
    translated to those. The checkpoint's classifier stands under `head_name` beside them. An embedding network has none: it
    tells people apart by the distance between their features.
    """

    name: ClassVar[str]
    input_size: ClassVar[int]  # width and height in pixels
    feature_size: ClassVar[int]
    head_name: ClassVar[str | None]  # None: an embedding network
    extraction: ClassVar[Extraction] = Extraction.SQUARE
    distance: ClassVar[Distance] = Distance.COSINE
    usual_threshold: ClassVar[float | None] = None  # a similarity or a distance, at which its users take two faces for one
    formats: ClassVar[tuple[StateDictFormat, ...]]  # at most one matches a file
    traceable: ClassVar[bool] = True  # by torch.fx; a backbone that is not serves as it was built, which is slower
    backbone: nn.Module

    @abstractmethod
    def normalise(self, images: Tensor) -> Tensor:
        """What the network's training saw, of RGB images (N, 3, S, S) in levels 0..255."""

    def forward(self, images: Tensor) -> Tensor:
        """Features (N, feature_size) of RGB images (N, 3, input_size, input_size) in levels 0..255."""
        # Levels are normalised in the images' own precision, then taken to the backbone's.
        normalised = self.normalise(images).to(next(self.backbone.parameters()).dtype)
        features: Tensor = self.backbone(normalised)
        return features
