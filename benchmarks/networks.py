"""Full-size networks with random weights: as slow as trained ones."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from recognizers.checkpoints.embedded import IDENTITIES
from recognizers.networks.head import LinearHead
from recognizers.networks.label_set import LabelSet
from recognizers.networks.recognizer import NeuralRecognizer
from recognizers.networks.registry import architectures
from synthetic_faces import Population
from tests.support.networks import calibrated

FULL_SIZE = ("facenet", "resnet50", "senet50")
DAMPING = 0.1
ALIGNED = ("iresnet50", "ir152", "irse50", "mobilefacenet")  # of those for aligned faces, one of each kind of block


def random_recognizer(name: str) -> NeuralRecognizer:
    """A plain recognizer of an architecture, with the embedded recognizers' label set."""
    torch.manual_seed(0)
    network = architectures().usable[name]()
    label_set = LabelSet(Population(IDENTITIES).names)
    return NeuralRecognizer(network, LinearHead(network.feature_size, label_set))


def random_probes(side: int, count: int) -> list[NDArray[np.uint8]]:
    """Probes (side, side, 3): what they show does not matter to the time they take."""
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (side, side, 3), dtype=np.uint8) for _ in range(count)]


def write_checkpoints(folder: Path) -> None:
    """Writes the three full-size recognizers, with their labels.

    Their BatchNorms are calibrated and their residual branches damped, so that what they answer depends on the image and not
    on roundings, as with trained ones: services refuse a network that in its prepared form answers otherwise.
    """
    folder.mkdir(parents=True, exist_ok=True)
    labels = LabelSet(Population(IDENTITIES).names)
    for name in FULL_SIZE:
        network = calibrated(architectures().usable[name], seed=0)
        for part, module in network.named_modules():
            if part.endswith(".bn3"):  # the end of a branch of ResNet-50 and SENet-50
                module.weight.data.mul_(DAMPING)
        head = LinearHead(network.feature_size, labels)
        of_head = {f"{network.head_name}.{key}": tensor for key, tensor in head.linear.state_dict().items()}
        torch.save(dict(network.backbone.state_dict()) | of_head, folder / f"{name}.pt")
    (folder / "labels.txt").write_text("\n".join(labels.identities) + "\n")
