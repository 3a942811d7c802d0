"""Recognizers for tests: small ones, and full-size ones with random weights that nevertheless know drawn faces."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from recognizers.extraction import Extraction, MtcnnDetector, crop, extract_face
from recognizers.networks.head import Head, LinearHead
from recognizers.networks.label_set import LabelSet
from recognizers.networks.network import Network
from recognizers.networks.recognizer import NeuralRecognizer
from tests.support.drawn_faces import jpeg


class SmallHead(nn.Module):
    """Linear, without a bias."""

    def __init__(self, weights: Tensor, label_set: LabelSet) -> None:
        """Weights are (C, F)."""
        super().__init__()
        self.label_set = label_set
        self.weights = nn.Parameter(weights, requires_grad=False)

    def forward(self, features: Tensor) -> Tensor:
        return features @ self.weights.T

    def centroid(self, place: int) -> Tensor:
        return nn.functional.normalize(self.weights[place], dim=0)


class SmallRecognizer:
    """Two layers with a smooth nonlinearity, of any floating-point type."""

    extraction = Extraction.SQUARE

    def __init__(self, *, seed: int = 0, input_size: int = 8, classes: int = 7, dtype: torch.dtype = torch.float64) -> None:
        self.name = "small"
        self.input_size = input_size
        self.label_set = LabelSet(tuple(f"identity_{place}" for place in range(classes)))
        generator = torch.Generator().manual_seed(seed)
        self._filters = torch.randn(6, 3, 3, 3, generator=generator, dtype=torch.float64).to(dtype)
        inputs = 6 * (input_size - 2) ** 2
        weights = torch.randn(classes, inputs, generator=generator, dtype=torch.float64).to(dtype) / inputs**0.5
        self.head: Head = SmallHead(weights, self.label_set)

    def features(self, images: Tensor) -> Tensor:
        return torch.tanh(nn.functional.conv2d((images - 127.5) / 128, self._filters)).flatten(1)

    def logits(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


class LinearRecognizer:
    """Logits are linear in the image, so that attacks on it can be worked by hand."""

    extraction = Extraction.SQUARE

    def __init__(self, weights: Tensor) -> None:
        """Weights are (C, 3, S, S)."""
        self.name = "linear"
        self.input_size = weights.shape[-1]
        self.label_set = LabelSet(tuple(f"identity_{place}" for place in range(len(weights))))
        self.head: Head = SmallHead(weights.flatten(1), self.label_set)

    def features(self, images: Tensor) -> Tensor:
        return images.flatten(1)

    def logits(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


def calibrated(architecture: type[Network], *, seed: int) -> Network:
    """A full-size network with random weights whose BatchNorm statistics fit its activations, so that none vanish."""
    torch.manual_seed(seed)
    network = architecture()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    network.train()
    with torch.no_grad():
        network(torch.rand(8, 3, network.input_size, network.input_size) * 255)
    for norm in norms:
        norm.momentum = 0.1
    return network.eval()


def se_module(channels: int, **options: Any) -> Any:
    """timm's module of squeeze-and-excitation."""
    from timm.layers import SEModule  # only now: it imports all of timm's networks, and PyTorch's compiler

    return SEModule(channels, **options)


def knowing(
    network: Network, photos: Sequence[NDArray[np.uint8]], identities: Sequence[str], *, confidence: float = 4.0
) -> NeuralRecognizer:
    """A recognizer that names the face of photo i as identity i, also after it was cropped, stored and found again.

    Its head is fitted by ridge regression to the features of each photo and of what the experiment makes of it;
    `confidence` is about how far the true identity's logit stands out.
    """
    detector = MtcnnDetector(torch.device("cpu"))
    features, labels = [], []
    for label, photo in enumerate(photos):
        for variant in (photo, *(stored_crop(photo, detector, side=side) for side in (160, 224))):
            face = torch.from_numpy(found_face(variant, detector, side=network.input_size)).permute(2, 0, 1).float()
            with torch.no_grad():
                features.append(network(face[None])[0])
            labels.append(label)
    stacked, mean = torch.stack(features).double(), torch.stack(features).double().mean(0)
    centred = stacked - mean
    targets = nn.functional.one_hot(torch.tensor(labels)).double() - 1 / len(photos)
    gram = centred @ centred.T
    ridge = 0.3 * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
    rows = confidence * (centred.T @ torch.linalg.solve(gram + ridge, targets)).T
    head = LinearHead(network.feature_size, LabelSet(tuple(identities)))
    with torch.no_grad():
        head.linear.weight.copy_(rows)
        head.linear.bias.copy_(-rows @ mean)
    return NeuralRecognizer(network, head)


def found_face(photo: NDArray[np.uint8], detector: MtcnnDetector, *, side: int) -> NDArray[np.uint8]:
    """The face of a photo as the services extract it, (side, side, 3)."""
    crop_box = extract_face(photo, detector)
    assert crop_box is not None
    return crop(photo, crop_box, side=side).copy()


def stored_crop(photo: NDArray[np.uint8], detector: MtcnnDetector, *, side: int) -> NDArray[np.uint8]:
    """The control of a photo: its face at a source model's input size, stored as JPEG and read again."""
    return decoded(jpeg(found_face(photo, detector, side=side))).astype(np.uint8)


def write_checkpoint(recognizer: NeuralRecognizer, path: Path) -> None:
    """Writes a recognizer as a PyTorch state dict (float32) under the names of the library that builds it."""
    assert isinstance(recognizer.head, LinearHead)
    head = {f"{recognizer.network.head_name}.{name}": tensor for name, tensor in recognizer.head.linear.state_dict().items()}
    torch.save(dict(recognizer.network.backbone.state_dict()) | head, path)


def probe(*, side: int, seed: int = 0) -> NDArray[np.uint8]:
    """A random image with structure at several scales, (side, side, 3)."""
    random = np.random.default_rng(seed)
    layers = [
        np.asarray(Image.fromarray(random.integers(0, 256, (n, n, 3), dtype=np.uint8)).resize((side, side)), dtype=float)
        for n in (4, 8, side)
    ]
    return np.asarray(np.mean(layers, axis=0).round(), dtype=np.uint8)


def decoded(encoded: bytes) -> NDArray[np.int64]:
    """An encoded image's RGB levels."""
    with Image.open(io.BytesIO(encoded)) as image:
        return np.asarray(image.convert("RGB"), dtype=np.int64)
