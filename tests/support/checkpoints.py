"""Checkpoint files of each kind and naming, quickly written, and how one is refused."""

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from recognizers.checkpoints.checkpoint import read_checkpoint
from recognizers.errors import CheckpointError
from tests.support.pickles import python2_pickle
from tests.support.plain_networks import CLASSES, Weights, library_weights, shapes


def torch_zip(tensors: Weights) -> bytes:
    buffer = io.BytesIO()
    torch.save(dict(tensors), buffer)
    return buffer.getvalue()


def torch_legacy(tensors: Weights) -> bytes:
    buffer = io.BytesIO()
    torch.save(OrderedDict(tensors), buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def safetensors_file(tensors: Weights) -> bytes:
    return safetensors.torch.save({name: tensor.contiguous() for name, tensor in tensors.items()})


def pickle_of_python_2(tensors: Weights) -> bytes:
    return python2_pickle(arrays(tensors))


def pickle_protocol_2(tensors: Weights) -> bytes:
    return pickle.dumps(arrays(tensors), 2)


def pickle_protocol_5(tensors: Weights) -> bytes:
    return pickle.dumps(arrays(tensors), 5)


def arrays(tensors: Weights) -> dict[str, Any]:
    return {name: tensor.numpy() for name, tensor in tensors.items()}


Container = Callable[[Weights], bytes]

CONTAINERS: Mapping[Container, str] = {
    torch_zip: "PyTorch file",
    torch_legacy: "PyTorch file (before 1.6)",
    safetensors_file: "safetensors",
    pickle_of_python_2: "pickle of numpy arrays",
    pickle_protocol_2: "pickle of numpy arrays",
    pickle_protocol_5: "pickle of numpy arrays",
}


def as_they_are(weights: Weights) -> dict[str, Tensor]:
    """facenet-pytorch's and VGGFace2-pytorch's names are those of the plain networks."""
    return dict(weights)


def timm(weights: Weights) -> dict[str, Tensor]:
    return library_weights("senet50", weights)


MATCONVNET_PARTS = {
    "conv1": "_1x1_reduce",
    "bn1": "_1x1_reduce_bn",
    "conv2": "_3x3",
    "bn2": "_3x3_bn",
    "conv3": "_1x1_increase",
    "bn3": "_1x1_increase_bn",
    "conv4": "_1x1_down",
    "conv5": "_1x1_up",
    "downsample.0": "_1x1_proj",
    "downsample.1": "_1x1_proj_bn",
}


def matconvnet(weights: Weights) -> dict[str, Tensor]:
    """The first convolution takes red, green, blue; the classifier is a 1x1 convolution."""
    exported = {}
    for name, tensor in weights.items():
        module, parameter = name.rsplit(".", 1)
        if module == "conv1":
            exported[f"conv1_7x7_s2.{parameter}"] = tensor[:, [2, 1, 0]]
        elif module == "bn1":
            exported[f"conv1_7x7_s2_bn.{parameter}"] = tensor
        elif name == "fc.weight":
            exported["classifier.weight"] = tensor[:, :, None, None]
        elif name == "fc.bias":
            exported["classifier.bias"] = tensor
        else:
            stage, block, part = module.removeprefix("layer").split(".", 2)
            exported[f"conv{int(stage) + 1}_{int(block) + 1}{MATCONVNET_PARTS[part]}.{parameter}"] = tensor
    return exported


@dataclass(frozen=True)
class Format:
    """A kind of checkpoint that people hold."""

    architecture: str
    container: Container
    naming: Callable[[Weights], dict[str, Tensor]]
    naming_called: str

    def __str__(self) -> str:
        return f"{self.architecture}-{self.naming_called}-{self.container.__name__}"

    def write(self, path: Path, weights: Weights) -> Path:
        path.write_bytes(self.container(self.naming(weights)))
        return path


def marked_weights(architecture: str, precision: torch.dtype = torch.float16) -> dict[str, Tensor]:
    """A complete network whose every tensor is one number of its own, repeated; the first convolution tells channels apart.

    A PyTorch file keeps a repeated number once: such a checkpoint is quickly written and read.
    """
    marks = enumerate(shapes(architecture, classes=CLASSES).items())
    weights = {name: torch.tensor(float(mark), dtype=precision).expand(shape) for mark, (name, shape) in marks}
    if "conv1.weight" in weights:
        channels = torch.tensor([0.25, 0.5, 0.75], dtype=precision).view(1, 3, 1, 1)
        weights["conv1.weight"] = channels.expand(weights["conv1.weight"].shape)
    return weights


def hollow_weights(architecture: str, *, classes: int = CLASSES) -> dict[str, Tensor]:
    """A complete network of zeros, as quickly written."""
    return {name: torch.zeros(()).expand(shape) for name, shape in shapes(architecture, classes=classes).items()}


def hollow_checkpoint(path: Path, architecture: str = "facenet", *, classes: int = CLASSES) -> Path:
    path.write_bytes(torch_zip(hollow_weights(architecture, classes=classes)))
    return path


def write_labels(path: Path, *, classes: int = CLASSES) -> Path:
    path.write_text("".join(f"identity_{place}\n" for place in range(classes)))
    return path


def refusal(path: Path) -> str:
    """Why a file is refused: one line that begins with its path."""
    with pytest.raises(CheckpointError) as refused:
        read_checkpoint(path)
    message = str(refused.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def refusal_of(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return refusal(path)
