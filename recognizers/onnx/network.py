"""An ONNX file's network behind the interface of the others. It has no gradient, so that nothing is crafted with it."""

from importlib.metadata import version
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from recognizers.networks.network import Network
from recognizers.onnx.card import OnnxCard
from recognizers.onnx.session import Session


class OnnxBackbone(nn.Module):
    """Computes one face at a time: none depends on what shares a batch with it."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session

    def forward(self, images: Tensor) -> Tensor:
        faces = images.float().cpu().contiguous().numpy()
        rows: list[Tensor] = []
        for place, face in enumerate(faces):
            is_padding = place > 0 and np.array_equal(face, faces[place - 1])  # a batch is filled with its last face
            rows.append(rows[-1] if is_padding else torch.from_numpy(self._session(face[None])))
        return torch.cat(rows).to(images.device)


class OnnxNetwork(Network):
    """What a card says of a network, and the session that computes it."""

    formats = ()
    head_name: ClassVar[str | None] = None
    traceable = False
    mean: Tensor
    std: Tensor

    def __init__(self, card: OnnxCard, session: Session) -> None:
        super().__init__()
        self.name = card.name
        self.input_size = card.input_size
        self.feature_size = card.embedding_size
        self.extraction = card.extraction
        self.distance = card.distance
        self.usual_threshold = card.threshold
        self.backbone = OnnxBackbone(session)
        self._card = card
        for name, levels in (("mean", card.mean), ("std", card.std)):
            self.register_buffer(name, torch.tensor(levels).view(1, 3, 1, 1), persistent=False)

    def normalise(self, images: Tensor) -> Tensor:
        ordered = images.flip(1) if self._card.blue_first else images
        return (ordered - self.mean) / self.std

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.backbone(self.normalise(images))
        return features

    @property
    def computed_by(self) -> str:
        return f"onnxruntime {version('onnxruntime')}, {self._card}"
