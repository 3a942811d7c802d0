"""What kind of file a checkpoint is, told from its first bytes, and how to read tensors out of it safely."""

import codecs
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from recognizers.checkpoints.restricted_pickle import read_numeric_pickle
from recognizers.errors import CheckpointError

SAFETENSORS = "safetensors"
TORCH_ZIP = "PyTorch file"
TORCH_LEGACY = "PyTorch file (before 1.6)"
NUMPY_PICKLE = "pickle of numpy arrays"

_ZIP_MAGIC = b"PK\x03\x04"
# torch.save of before 1.6 begins with this number, pickled.
_LEGACY_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_MARKUP = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")


@dataclass(frozen=True)
class Container:
    """The named tensors of a checkpoint file, in the file's own names and precision."""

    kind: str
    tensors: Mapping[str, Tensor]


def read_container(path: Path) -> Container:
    """Reads a checkpoint file, whatever its name.

    Raises:
        CheckpointError: it is not a checkpoint, is truncated, or holds anything but numeric arrays.
    """
    kind = container_kind(path)
    if kind == SAFETENSORS:
        return Container(kind, _read_safetensors(path))
    if kind in (TORCH_ZIP, TORCH_LEGACY):
        return Container(kind, _read_torch(path, kind))
    arrays = read_numeric_pickle(path)
    native = {name: np.array(array, dtype=array.dtype.newbyteorder("=")) for name, array in arrays.items()}
    return Container(kind, {name: torch.from_numpy(array) for name, array in native.items()})


def container_kind(path: Path) -> str:
    """Tells a file's kind from its first bytes.

    Raises:
        CheckpointError: the file is missing, empty, or a web page.
    """
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise CheckpointError(f"cannot be read: {error.strerror or error}") from error
    if not start:
        raise CheckpointError("the file is empty")
    if start.removeprefix(codecs.BOM_UTF8).lstrip().lower().startswith(_MARKUP):
        raise CheckpointError(
            "this is a web page, not a checkpoint: the download saved a page about the file; fetch the file itself"
        )
    if start.startswith(_ZIP_MAGIC):
        return TORCH_ZIP
    if start.startswith(_LEGACY_MAGIC):
        return TORCH_LEGACY
    if start[8:9] == b"{":
        return SAFETENSORS
    return NUMPY_PICKLE


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise CheckpointError(f"the safetensors file is truncated or damaged: {error}") from error


@contextmanager
def _nothing_allowed() -> Iterator[None]:
    """Within it, torch reads tensors only, whatever classes a library has declared safe for the whole process."""
    declared = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    try:
        yield
    finally:
        torch.serialization.add_safe_globals(declared)


def _read_torch(path: Path, kind: str) -> dict[str, Tensor]:
    try:
        # A file and not its path: given a path, torch goes by the ending.
        with path.open("rb") as file, _nothing_allowed():
            content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises RuntimeError, UnpicklingError, EOFError, ... for the same damage
        reason = str(error)
        if "Unsupported" in reason or "WeightsUnpickler" in reason or "weights_only" in reason:
            # A name cut short looks like a name that is not allowed; only the zip format can tell that it is whole.
            doubt = "" if kind == TORCH_ZIP else ", or is truncated or damaged"
            raise CheckpointError(
                f"the file holds Python objects other than tensors{doubt}; refused, nothing of it was executed. "
                "Save the network's state_dict() instead of the network"
            ) from error
        first_line = (reason.splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"the PyTorch file is truncated or damaged: {first_line}") from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping):
        raise CheckpointError(f"expected a state dict of name -> tensor, got {type(content).__name__}")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(f"expected a state dict of name -> tensor, got {name!r} -> {type(value).__name__}")
        if value.layout is not torch.strided or value.is_meta or value.is_quantized:
            raise CheckpointError(f"{name}: expected plain numbers, got a sparse, quantised or empty tensor")
    return dict(content)
