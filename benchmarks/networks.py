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

FULL_SIZE = ("facenet", "resnet50", "senet50")
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
    """Writes the three full-size recognizers, with their labels."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FULL_SIZE:
        recognizer = random_recognizer(name)
        assert isinstance(recognizer.head, LinearHead)
        prefix = recognizer.network.head_name
        head = {f"{prefix}.{key}": tensor for key, tensor in recognizer.head.linear.state_dict().items()}
        torch.save(dict(recognizer.network.backbone.state_dict()) | head, folder / f"{name}.pt")
        (folder / "labels.txt").write_text("\n".join(recognizer.label_set.identities) + "\n")
