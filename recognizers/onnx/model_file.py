"""Reads an ONNX file: its bytes once, of which everything else is made. Nothing beside it is opened."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from recognizers.errors import CheckpointError
from recognizers.onnx.wire import check_description

MAX_BYTES = 512 * 2**20  # an IResNet-200 has 450 MiB
_SUFFIX = ".onnx"
_BYTES_SHOWN = 16

Proto: TypeAlias = Any  # a message of onnx's, whose types are there only where onnx is installed


@dataclass(frozen=True, eq=False)
class OnnxFile:
    """A file that can be parsed, and is not checked yet."""

    path: Path
    sha256: str
    model: Proto  # onnx.ModelProto


def is_onnx(path: Path) -> bool:
    """Whether a file is to be an ONNX file, by its name."""
    return path.suffix.lower() == _SUFFIX


def read_model(path: Path) -> OnnxFile:
    """Reads and parses a file.

    Raises:
        CheckpointError: the packages that read it are not installed, or it is too large, empty, or no ONNX file.
    """
    check_installed(path)
    from google.protobuf.message import DecodeError
    from onnx import ModelProto

    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= MAX_BYTES else b""
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
    if size > MAX_BYTES:
        raise CheckpointError(f"{path}: expected at most {MAX_BYTES:,} bytes, got {size:,}")
    model = ModelProto()
    try:
        check_description(content)
        model.ParseFromString(content)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except (DecodeError, ValueError) as error:
        begins = f"it begins with {content[:_BYTES_SHOWN]!r}"
        raise CheckpointError(f"{path}: not an ONNX file, or a truncated or damaged one: {begins}") from error
    if not model.graph.node:
        raise CheckpointError(f"{path}: not an ONNX file, or an empty one: expected operators, got none")
    return OnnxFile(path, hashlib.sha256(content).hexdigest(), model)


def check_installed(path: Path) -> None:
    """Makes sure that what ONNX files need is installed.

    Raises:
        CheckpointError: it is not.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise CheckpointError(
            f"{path}: an ONNX file needs {error.name}, which is not installed: pip install 'face-deid-bench[onnx]'"
        ) from error
