"""What kind of file a checkpoint is, told from its first bytes, and how to read tensors out of it safely."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from command_line.memory import memory_advice
from recognizers.checkpoints.other_files import name_other_file
from recognizers.checkpoints.restricted_pickle import Array, read_numeric_pickle
from recognizers.checkpoints.torch_pickle import check_torch_legacy, check_torch_zip
from recognizers.checkpoints.wrappers import Where, largest, mappings_of
from recognizers.errors import CheckpointError, shorten

SAFETENSORS = "safetensors"
TORCH_ZIP = "PyTorch file"
TORCH_LEGACY = "PyTorch file (before 1.6)"
NUMPY_PICKLE = "pickle of numpy arrays"

_ZIP_MAGIC = b"PK\x03\x04"
# torch.save of before 1.6 begins with this number, pickled.
_LEGACY_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_START = 4096  # bytes


@dataclass(frozen=True)
class Container:
    """The named tensors of a checkpoint file, in the file's own names and precision."""

    kind: str
    mappings: Mapping[Where, Mapping[str, Tensor]]  # by where they are in the file; at least one

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """Those of the mapping that has most."""
        return self.mappings[largest(self.mappings)]


def read_container(path: Path) -> Container:
    """Reads a checkpoint file, whatever its name.

    Raises:
        CheckpointError: it is not a checkpoint, is truncated, or holds anything but numeric arrays.
    """
    kind = container_kind(path)
    if kind == SAFETENSORS:
        return Container(kind, {(): _read_safetensors(path)})
    if kind in (TORCH_ZIP, TORCH_LEGACY):
        return Container(kind, _read_torch(path, kind))
    return Container(kind, _as_tensors(mappings_of(read_numeric_pickle(path), np.ndarray)) or {(): {}})


def container_kind(path: Path) -> str:
    """Tells a file's kind from its first bytes.

    Raises:
        CheckpointError: the file is missing, empty, or something that people have in place of a checkpoint.
    """
    try:
        with path.open("rb") as file:
            start = file.read(_START)
    except OSError as error:
        raise CheckpointError(f"cannot be read: {error.strerror or error}") from error
    if not start:
        raise CheckpointError("the file is empty")
    if start[4:9] == b"\0\0\0\0{":  # the header's length, in eight bytes, and the header
        return SAFETENSORS
    if other := name_other_file(path, start):
        raise CheckpointError(other)
    if start.startswith(_ZIP_MAGIC):
        return TORCH_ZIP
    if start.startswith(_LEGACY_MAGIC):
        return TORCH_LEGACY
    return NUMPY_PICKLE


def _as_tensors(mappings: Mapping[Where, Mapping[str, Array]]) -> dict[Where, dict[str, Tensor]]:
    known: dict[int, Tensor] = {}
    for named in mappings.values():
        for array in named.values():
            if id(array) not in known:
                known[id(array)] = torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))
    return {where: {name: known[id(array)] for name, array in named.items()} for where, named in mappings.items()}


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return dict(load(path.read_bytes()))  # by its path it would need a name in UTF-8
    except (SafetensorError, OSError, MemoryError, RuntimeError) as error:
        if advice := memory_advice(error):
            raise CheckpointError(advice) from error
        raise CheckpointError(f"the safetensors file is truncated or damaged: {shorten(str(error))}") from error


def _read_torch(path: Path, kind: str) -> dict[Where, dict[str, Tensor]]:
    (check_torch_zip if kind == TORCH_ZIP else check_torch_legacy)(path)
    try:
        # A file and not its path: given a path, torch goes by the ending.
        with path.open("rb") as file:
            content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises RuntimeError, UnpicklingError, EOFError, ... for the same damage
        if advice := memory_advice(error):
            raise CheckpointError(advice) from error
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"the PyTorch file is truncated or damaged: {shorten(first_line)}") from error
    mappings = mappings_of(content, Tensor)
    if not mappings and not (isinstance(content, dict) and len(content) == 0):
        raise CheckpointError(f"expected a state dict of name -> tensor, got {_described(content)}")
    return mappings or {(): {}}


def _described(content: object) -> str:
    if not isinstance(content, dict):
        return type(content).__name__
    name, value = next(iter(dict.items(content)))
    return f"{shorten(name) if isinstance(name, str) else type(name).__name__} -> {type(value).__name__}"
