"""What kind of file a checkpoint is, recognised by its first bytes, and how to read tensors out of it safely."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from command_line.memory import memory_advice
from recognizers.checkpoints import dlib_dat
from recognizers.checkpoints.file_signatures import ZIP, name_other_file
from recognizers.checkpoints.nested_state_dicts import KeyPath, largest, state_dicts_in
from recognizers.checkpoints.numpy_pickle import read_numpy_pickle
from recognizers.checkpoints.torch_file import read_torch_file
from recognizers.errors import CheckpointError, shorten

# torch.save of before 1.6 begins with this number, pickled.
_LEGACY_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_START = 4096  # bytes


@dataclass(frozen=True)
class TensorFile:
    """The named tensors of a checkpoint file, in the file's own names and precision."""

    kind: str
    state_dicts: Mapping[KeyPath, Mapping[str, Tensor]]  # by where they are in the file; at least one

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """Those of the state dict that has most."""
        return self.state_dicts[largest(self.state_dicts)]


def read_tensor_file(path: Path) -> TensorFile:
    """Reads a checkpoint file, whatever its name.

    Raises:
        CheckpointError: it is missing, empty, truncated, something that people have in place of a checkpoint, or holds
            anything but numeric arrays.
    """
    try:
        with path.open("rb") as file:
            start = file.read(_START)
    except OSError as error:
        raise CheckpointError(f"cannot be read: {error.strerror or error}") from error
    if not start:
        raise CheckpointError("the file is empty")
    if start[4:9] == b"\0\0\0\0{":  # the header's length, in eight bytes, and the header
        return TensorFile("safetensors", {(): _read_safetensors(path)})
    if start.startswith(dlib_dat.START):
        return TensorFile("dlib file", {(): dlib_dat.read_dlib_network(path)})
    if other := name_other_file(path, start):
        raise CheckpointError(other)
    if start.startswith(ZIP):
        return TensorFile("PyTorch file", _read_torch(path, legacy=False))
    if start.startswith(_LEGACY_MAGIC):
        return TensorFile("PyTorch file (before 1.6)", _read_torch(path, legacy=True))
    pickled = read_numpy_pickle(path) or {(): {}}
    state_dicts = {keys: {name: torch.from_numpy(array) for name, array in named.items()} for keys, named in pickled.items()}
    return TensorFile("pickle of numpy arrays", state_dicts)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return dict(load(path.read_bytes()))  # by its path it would need a name in UTF-8
    except (SafetensorError, OSError, MemoryError, RuntimeError) as error:
        damage = f"the safetensors file is truncated or damaged: {shorten(str(error))}"
        raise CheckpointError(memory_advice(error) or damage) from error


def _read_torch(path: Path, *, legacy: bool) -> dict[KeyPath, dict[str, Tensor]]:
    content = read_torch_file(path, legacy=legacy)
    state_dicts = state_dicts_in(content, Tensor)
    if not state_dicts and not (isinstance(content, dict) and len(content) == 0):
        raise CheckpointError(f"expected a state dict of name -> tensor, got {_described(content)}")
    return state_dicts or {(): {}}


def _described(content: object) -> str:
    if not isinstance(content, dict):
        return type(content).__name__
    name, value = next(iter(dict.items(content)))
    return f"{shorten(name) if isinstance(name, str) else type(name).__name__} -> {type(value).__name__}"
