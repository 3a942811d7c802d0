"""Small ONNX files, with cards, and sessions that nothing computes. What needs onnx imports it when it is called."""

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from recognizers.errors import CheckpointError
from recognizers.onnx.loading import build_onnx
from recognizers.onnx.model_file import read_model
from recognizers.onnx.session import Session

SIDE, FEATURES = 8, 6
CARD = {
    "name": "linear",
    "input_size": SIDE,
    "embedding_size": FEATURES,
    "channels": "RGB",
    "mean": 127.5,
    "std": 128,
    "alignment": "square",
    "metric": "cosine",
}

needs_onnx = pytest.mark.skipif(
    find_spec("onnx") is None or find_spec("onnxruntime") is None,
    reason="onnx and onnxruntime are not installed (`make setup`): NO ONNX FILE WAS TESTED",
)


def weights() -> NDArray[np.float32]:
    """From the pixels of a face to its features."""
    return np.random.default_rng(0).normal(scale=0.1, size=(3 * SIDE * SIDE, FEATURES)).astype(np.float32)


def linear_model(*, before: Sequence[Any] = (), image: str = "image", opset: int = 17, **tensors: Any) -> Any:
    """A linear map of 8 x 8 pixels, behind other operators that make `image` of the input "image".

    Args:
        before: those operators.
        image: the name of their result.
        opset: the version of the default operators.
        tensors: weights beside its own, by name.
    """
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        *before,
        helper.make_node("Flatten", [image], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["features"]),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", FEATURES])],
        [numpy_helper.from_array(np.asarray(each), name) for name, each in {"weights": weights(), **tensors}.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def write_onnx(folder: Path, model: Any = None, *, file: str = "file", **facts: Any) -> Path:
    """A file, and a card beside it with other facts than `CARD` where they are given; None leaves one out."""
    path = folder / f"{file}.onnx"
    path.write_bytes((model or linear_model()).SerializeToString())
    stated = {name: value for name, value in {**CARD, **facts}.items() if value is not None}
    card_of(path).write_text(json.dumps(stated))
    return path


def card_of(path: Path) -> Path:
    return path.with_suffix(".card.json")


class NoSession:
    """Makes sessions that answer zeros, and counts them."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, model: bytes) -> Session:
        self.made += 1
        return lambda face: np.zeros((1, FEATURES), np.float32)


def refusal(path: Path) -> str:
    """Why a file is refused, before a session of it is made."""
    sessions = NoSession()
    with pytest.raises(CheckpointError) as refused:
        build_onnx(read_model(path), card=card_of(path), make_session=sessions)
    assert sessions.made == 0
    return str(refused.value)
