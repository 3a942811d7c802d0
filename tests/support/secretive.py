"""An invader full of canaries: in its folders, its checkpoint, what its network computes, and what is raised in it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from recognizers.checkpoints import embedded
from recognizers.checkpoints.loading import load_folder
from recognizers.extraction import Face
from recognizers.networks.recognizer import NeuralRecognizer
from tests.support.canaries import Canary
from tests.support.services import CentreDetector

MODEL = "compact-senet"
FOLDER = "hidden-folder-9c3b7e"
PATH = Canary.of_text("path", FOLDER)
TEXT = Canary.of_text("exception", "hidden-exception-text-4f1d8a")
# Each of bytes that no text holds, so that not even four of them are found by chance.
WEIGHT, EMBEDDING, LOGIT = (
    Canary.of_number(name, float(np.frombuffer(bytes.fromhex(little_endian), dtype="<f4")[0]))
    for name, little_endian in (("weight", "9dc3a73e"), ("embedding", "b18ed93e"), ("logit", "e7968d3f"))
)
CANARIES = (PATH, TEXT, WEIGHT, EMBEDDING, LOGIT)

DETECTOR_FAILS, NETWORK_FAILS = 66, 67  # pixels of a photo's side


class FailingDetector(CentreDetector):
    """Fails for photos of one size, and notices those of another, for which the network is to fail."""

    def __init__(self) -> None:
        self.network_fails = False

    def detect(self, photo: NDArray[np.uint8]) -> Sequence[Face]:
        self.network_fails = len(photo) == NETWORK_FAILS
        if len(photo) == DETECTOR_FAILS:
            raise ValueError(f"{TEXT.text} {PATH.text} {photo}")
        return super().detect(photo)


def write_checkpoint(folder: Path) -> None:
    """An embedded recognizer, one of whose weights is a canary."""
    tensors = load_file(embedded.FOLDER / f"{MODEL}.safetensors")
    (head,) = (name for name, tensor in tensors.items() if tensor.shape[0] == embedded.IDENTITIES and tensor.ndim == 2)
    tensors[head] = tensors[head].float()
    tensors[head][0, 0] = float(WEIGHT.text)
    save_file(tensors, folder / f"{MODEL}.safetensors", metadata={"architecture": MODEL})
    (folder / "labels.txt").write_bytes((embedded.FOLDER / "labels.txt").read_bytes())


def load_secretive(folder: Path, detector: FailingDetector) -> NeuralRecognizer:
    """The checkpoint as the service loads it, computing canaries."""
    recognizer = load_folder(folder, torch.device("cpu"))[MODEL].recognizer

    def feature(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        return _beginning_with(EMBEDDING, output)

    def logit(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        logits = _beginning_with(LOGIT, output)
        if detector.network_fails:
            raise RuntimeError(f"{TEXT.text} {folder} {WEIGHT.text} {inputs[0].tolist()} {logits.tolist()}")
        return logits

    recognizer.network.register_forward_hook(feature)
    recognizer.head.register_forward_hook(logit)  # type: ignore[attr-defined]
    return recognizer


def _beginning_with(canary: Canary, output: Tensor) -> Tensor:
    return torch.cat([torch.full_like(output[:, :1], float(canary.text)), output[:, 1:]], dim=1)
