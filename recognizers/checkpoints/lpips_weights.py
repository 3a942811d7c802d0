"""The weights of LPIPS, which lie beside checkpoints and are no recognizer's: AlexNet's, and those of its layers."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor

from recognizers.checkpoints.tensor_file import read_tensor_file
from recognizers.errors import CheckpointError, RecognizerError

ALEXNET = "alexnet"  # at the beginning of the file's name, as torchvision calls it: alexnet-owt-7be5be79.pth
LINEAR = "lpips-alex"  # likewise: a copy of the package's file
_PACKAGE, _FILE = "lpips", Path("weights", "v0.1", "alex.pth")
_LAYER = "lin{}.model.1.weight"


class MissingWeightsError(RecognizerError):
    """Files that a method needs are not there; the message says which, and where they belong."""


@dataclass(frozen=True)
class LpipsWeights:
    """See `Lpips`."""

    network: Mapping[str, Tensor]
    layers: tuple[Tensor, ...]  # (channels,) each


def is_no_checkpoint(path: Path) -> bool:
    """Whether a file beside checkpoints holds weights of LPIPS by its name."""
    return path.name.lower().startswith((ALEXNET, LINEAR))


def read_lpips_weights(folder: Path | None, *, channels: tuple[int, ...]) -> LpipsWeights:
    """Reads AlexNet's weights from a checkpoint folder, and the layers' from there or from the installed package `lpips`.

    The package is not imported; its file of six kilobytes is read as checkpoints are.

    Raises:
        MissingWeightsError: either is not there.
        CheckpointError: either is not what its name says.
    """
    alexnet, linear = _in(folder, ALEXNET), _in(folder, LINEAR) or _of_package()
    missing = [] if alexnet else [f"AlexNet's weights ({ALEXNET}*.pth, from torchvision) in the checkpoint folder"]
    missing += [] if linear else [f"the package {_PACKAGE}, or its {_FILE} as {LINEAR}.pth in the checkpoint folder"]
    if alexnet is None or linear is None:
        raise MissingWeightsError(f"needs {', and '.join(missing)}")
    network, layers = _read(alexnet), _read(linear)
    names = [_LAYER.format(place) for place in range(len(channels))]
    for name, count in zip(names, channels, strict=True):
        if name not in layers or layers[name].numel() != count:
            raise CheckpointError(f"{linear}: expected {name} with {count} numbers, got {_described(layers.get(name))}")
    return LpipsWeights(network, tuple(layers[name].float().flatten() for name in names))


def _in(folder: Path | None, name: str) -> Path | None:
    files = sorted(folder.iterdir()) if folder is not None else []
    return next((path for path in files if path.is_file() and path.name.lower().startswith(name)), None)


def _of_package() -> Path | None:
    spec = find_spec(_PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    return next((file for folder in folders or () if (file := Path(folder) / _FILE).is_file()), None)


def _read(path: Path) -> Mapping[str, Tensor]:
    try:
        return read_tensor_file(path).tensors
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _described(tensor: Tensor | None) -> str:
    return "none" if tensor is None else f"{tensor.numel()}"
