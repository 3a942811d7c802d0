"""The seam between networks and classifiers: a network turns images into features, a head turns features into logits."""

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import ClassVar

import torch
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
    tells people apart by the distance between their features. What is no class variable is stated by a class as well,
    unless it comes with a file, as in an ONNX network's card.
    """

    name: str
    input_size: int  # width and height in pixels
    feature_size: int
    head_name: ClassVar[str | None]  # None: an embedding network
    extraction: Extraction = Extraction.SQUARE
    distance: Distance = Distance.COSINE
    usual_threshold: float | None = None  # a similarity or a distance, at which its users take two faces for one
    formats: ClassVar[tuple[StateDictFormat, ...]]  # at most one matches a file
    traceable: ClassVar[bool] = True  # by torch.fx; a backbone that is not serves as it was built, which is slower
    backbone: nn.Module

    @property
    def computed_by(self) -> str:
        """What its features depend on beside its weights and precision: an embedding is kept for this alone."""
        return f"torch {torch.__version__}"

    @abstractmethod
    def normalise(self, images: Tensor) -> Tensor:
        """What the network's training saw, of RGB images (N, 3, S, S) in levels 0..255."""

    def forward(self, images: Tensor) -> Tensor:
        """Features (N, feature_size) of RGB images (N, 3, input_size, input_size) in levels 0..255."""
        # Levels are normalised in the images' own precision, then taken to the backbone's.
        normalised = self.normalise(images).to(next(self.backbone.parameters()).dtype)
        features: Tensor = self.backbone(normalised)
        return features
