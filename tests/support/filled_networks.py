"""Networks filled with numbers that depend on the names and shapes of their tensors alone.

Filled alike, two implementations of one architecture answer alike: so ours are compared with the published code, without
anybody's weights. What that answered, in float64, is in `golden.json` beside the test; the rule may not change.
"""

import hashlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recognizers.networks.network import Network
from recognizers.networks.registry import architectures

SIDE = 112


def numbers(name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The values of a tensor that a checkpoint calls `name`."""
    random = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))
    if name.endswith("running_var"):
        return 0.5 + random.random(shape)
    if name.endswith(("running_mean", "bias")):
        return 0.1 * random.standard_normal(shape)
    if len(shape) > 1:
        scale: float = np.sqrt(2 / np.prod(shape[1:]))
        return scale * random.standard_normal(shape)
    return 0.5 + random.random(shape)  # scales of BatchNorm, slopes of PReLU


def state_dict(architecture: str, *, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """A filled backbone's tensors, by its names."""
    return {
        name: torch.zeros(shape, dtype=torch.int64) if _counts(name) else torch.from_numpy(numbers(name, shape)).to(dtype)
        for name, shape in tensor_shapes(architecture).items()
    }


def hollow(architecture: str) -> dict[str, Tensor]:
    """A backbone's tensors, zero, as quickly written; without counters, which files need not have."""
    shapes = tensor_shapes(architecture)
    return {name: torch.zeros(()).expand(shape) for name, shape in shapes.items() if not _counts(name)}


def tensor_shapes(architecture: str) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of a backbone."""
    with torch.device("meta"):
        backbone = architectures().usable[architecture]().backbone
    return {name: tuple(tensor.shape) for name, tensor in backbone.state_dict().items()}


def filled_network(architecture: str, *, dtype: torch.dtype = torch.float64) -> Network:
    """A filled network. The deep ones need float64: their features outgrow float32."""
    with torch.device("meta"):
        network = architectures().usable[architecture]()
    network.backbone.load_state_dict(state_dict(architecture, dtype=dtype), assign=True)
    return network.eval().requires_grad_(False)


def write_filled(architecture: str, path: Path) -> Path:
    """A checkpoint of a filled network, in float32."""
    torch.save(state_dict(architecture, dtype=torch.float32), path)
    return path


def image(side: int = SIDE) -> Tensor:
    """An RGB image (1, 3, side, side), float64, whole levels."""
    random = np.random.default_rng(side)
    levels = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
    return torch.from_numpy(levels).permute(2, 0, 1).double().unsqueeze(0)


def _counts(name: str) -> bool:
    return name.endswith("num_batches_tracked")
