"""ONNX files that would read other files, run without end or fill the memory: refused before a session of them is made."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recognizers.errors import CheckpointError
from recognizers.onnx import model_file, wire
from recognizers.onnx.loading import build_onnx
from recognizers.onnx.model_file import read_model
from tests.support.onnx_files import FEATURES, SIDE, NoSession, card_of, linear_model, needs_onnx, refusal, write_onnx

pytestmark = needs_onnx

BILLION = 10**9
EDGE = 32_768  # squared, a billion


def node(kind: str, inputs: list[str], outputs: list[str], **attributes: Any) -> Any:
    from onnx import helper

    return helper.make_node(kind, inputs, outputs, **attributes)


def external() -> Any:
    model = linear_model()
    (tensor,) = model.graph.initializer
    tensor.ClearField("raw_data")
    tensor.external_data.add(key="location", value="../../../../etc/passwd")
    return model


def external_constant() -> Any:
    from onnx import TensorProto

    tensor = TensorProto(name="elsewhere", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    return linear_model(
        before=[node("Constant", [], ["one"], value=tensor), node("Add", ["image", "one"], ["x"])], image="x"
    )


def custom_operator() -> Any:
    return linear_model(before=[node("Relu", ["image"], ["x"], domain="com.example")], image="x")


def looping(kind: str) -> Callable[[], Any]:
    def model() -> Any:
        from onnx import TensorProto, helper

        body = helper.make_graph(
            [node("Identity", ["image"], ["y"])], "body", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
        )
        held = {"If": ("then_branch", "else_branch"), "Loop": ("body",), "Scan": ("body",)}[kind]
        return linear_model(before=[node(kind, ["condition"], ["x"], **dict.fromkeys(held, body))], image="x")

    return model


def hidden_graph() -> Any:
    from onnx import helper

    graph = helper.make_graph([], "hidden", [], [])
    return linear_model(before=[node("Relu", ["image"], ["x"], alpha=graph)], image="x")


def function() -> Any:
    from onnx import helper

    model = linear_model()
    identity = helper.make_opsetid("", 17)
    model.functions.append(
        helper.make_function("", "Relu", ["a"], ["b"], [node("Identity", ["a"], ["b"])], opset_imports=[identity])
    )
    return model


def of_shape(kind: str) -> Callable[[], Any]:
    """A billion elements made of a shape that is a constant."""

    def model() -> Any:
        made = node(kind, ["shape"] if kind == "ConstantOfShape" else ["one", "shape"], ["large"])
        reduced = node("ReduceMax", ["large"], ["largest"], keepdims=0)
        shape, one = np.array([EDGE, EDGE], np.int64), np.ones((1, 1), np.float32)
        before = [made, reduced, node("Add", ["image", "largest"], ["x"])]
        return linear_model(before=before, image="x", shape=shape, one=one)

    return model


def padded() -> Any:
    pads = np.array([0, 0, 0, 0, 0, 0, EDGE, EDGE], np.int64)
    before = [node("Pad", ["image", "pads"], ["large"]), node("GlobalMaxPool", ["large"], ["most"])]
    return linear_model(before=[*before, node("Add", ["image", "most"], ["x"])], image="x", pads=pads)


def convolution_with_pads(size: int) -> Any:
    kernel = np.zeros((3, 3, 1, 1), np.float32)
    before = [node("Conv", ["image", "kernel"], ["large"], pads=[size] * 4), node("GlobalMaxPool", ["large"], ["most"])]
    return linear_model(before=[*before, node("Add", ["image", "most"], ["x"])], image="x", kernel=kernel)


def doubled() -> Any:
    """Each step joins its result to itself."""
    steps = [node("Concat", [f"x{step}", f"x{step}"], [f"x{step + 1}"], axis=1) for step in range(40)]
    first = node("Identity", ["image"], ["x0"])
    last = [node("ReduceMax", ["x40"], ["most"], keepdims=0), node("Add", ["image", "most"], ["x"])]
    return linear_model(before=[first, *steps, *last], image="x")


def many_large() -> Any:
    """No result is too large, and all together are."""
    pads = np.array([0, 0, 0, 0, 0, 0, 2000, 2000], np.int64)
    large = [node("Pad", ["image", "pads"], ["x0"])]
    large += [node("Relu", [f"x{step}"], [f"x{step + 1}"]) for step in range(30)]
    last = [node("GlobalMaxPool", ["x30"], ["most"]), node("Add", ["image", "most"], ["x"])]
    return linear_model(before=[*large, *last], image="x", pads=pads)


def operator(kind: str) -> Callable[[], Any]:
    return lambda: linear_model(before=[node(kind, ["image"], ["x"])], image="x")


def unknown_shape() -> Any:
    """The shape depends on what is in the image."""
    before = [
        node("Cast", ["image"], ["whole"], to=7),
        node("Reshape", ["whole", "minus_one"], ["numbers"]),
        node("ConstantOfShape", ["numbers"], ["large"]),
        node("ReduceMax", ["large"], ["most"], keepdims=0),
        node("Add", ["image", "most"], ["x"]),
    ]
    return linear_model(before=before, image="x", minus_one=np.array([-1], np.int64))


def inputs(names: str) -> Any:
    from onnx import TensorProto, helper

    model = linear_model()
    for name in names:
        model.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]))
    return model


def outputs() -> Any:
    from onnx import TensorProto, helper

    model = linear_model()
    model.graph.output.append(helper.make_tensor_value_info("flat", TensorProto.FLOAT, None))
    return model


def input_of(*dimensions: int | str, kind: str = "FLOAT") -> Any:
    from onnx import TensorProto, helper

    model = linear_model()
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("image", TensorProto.DataType.Value(kind), dimensions))
    return model


def weights_of(shape: list[int]) -> Any:
    model = linear_model()
    model.graph.initializer[0].dims[:] = shape
    return model


def not_finite() -> Any:
    return linear_model(before=[node("Add", ["image", "nan"], ["x"])], image="x", nan=np.float32("nan"))


def sparse() -> Any:
    model = linear_model()
    model.graph.sparse_initializer.add()
    return model


def in_training() -> Any:
    on = np.array(1, bool)
    return linear_model(before=[node("Dropout", ["image", "", "on"], ["x"])], image="x", on=on)


def circular() -> Any:
    return linear_model(before=[node("Add", ["image", "y"], ["x"]), node("Relu", ["x"], ["y"])], image="x")


def of_pictures() -> Any:
    """What comes out is no embedding."""
    from onnx import TensorProto, helper

    model = linear_model(before=[node("Relu", ["image"], ["x"])])
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", FEATURES]))
    return model


FILES: dict[str, tuple[Callable[[], Any], str]] = {
    "weights in another file": (external, "weights weights: lie in another file, which is not opened"),
    "a constant in another file": (external_constant, "weights elsewhere: lie in another file"),
    "an operator of another domain": (
        custom_operator,
        "operator Relu: expected one of ONNX's own operators, got one of com.example",
    ),
    "an operator that there is not": (operator("Mystery"), "operator Mystery: is not among those that face networks need"),
    "random numbers": (operator("RandomNormalLike"), "operator RandomNormalLike: is not among those"),
    "Tile": (operator("Tile"), "operator Tile: is not among those"),
    "Resize": (operator("Resize"), "operator Resize: is not among those"),
    "If": (looping("If"), "operator If: loops and branches are refused"),
    "Loop": (looping("Loop"), "operator Loop: loops and branches are refused"),
    "Scan": (looping("Scan"), "operator Scan: loops and branches are refused"),
    "a graph in an attribute": (hidden_graph, "operator Relu: alpha: expected numbers, text or a tensor, got a graph"),
    "a function": (function, "expected one graph, got functions or training beside it"),
    "ConstantOfShape": (
        of_shape("ConstantOfShape"),
        "operator ConstantOfShape: expected at most 16,777,216 elements, got 1,073,741,824",
    ),
    "Expand": (of_shape("Expand"), "operator Expand: expected at most 16,777,216 elements, got 1,073,741,824"),
    "Pad": (padded, "operator Pad: expected at most 16,777,216 elements, got 3,222,798,528"),
    "the padding of a convolution": (
        lambda: convolution_with_pads(EDGE),
        "operator Conv: expected at most 16,777,216 elements",
    ),
    "padding that overflows": (
        lambda: convolution_with_pads(2**62),
        "operator Conv: pads: expected numbers below 2,147,483,648",
    ),
    "doubling": (doubled, "operator Concat: expected at most 16,777,216 elements, got 25,165,824"),
    "many large results": (many_large, "expected at most 268,435,456 elements of all results together"),
    "a shape that the image decides": (unknown_shape, "operator ConstantOfShape: the shape of its result cannot be told"),
    "two inputs": (lambda: inputs("b"), "expected one input, got 2: image, b"),
    "two outputs": (outputs, "expected one output, got 2: features, flat"),
    "an old opset": (lambda: linear_model(opset=6), "opset: expected 7 to 23, got 6"),
    "an opset to come": (lambda: linear_model(opset=99), "opset: expected 7 to 23, got 99"),
    "a side that varies": (
        lambda: input_of("batch", 3, "height", "width"),
        "input: expected a square of fixed size, as only the batch may vary, got FLOAT (batch, 3, height, width)",
    ),
    "no square": (lambda: input_of(1, 3, SIDE, 2 * SIDE), "input: expected a square of fixed size"),
    "channels last": (
        lambda: input_of("batch", SIDE, SIDE, 3),
        "input: expected FLOAT (batch, 3, side, side), got FLOAT (batch, 8, 8, 3)",
    ),
    "levels as bytes": (
        lambda: input_of("batch", 3, SIDE, SIDE, kind="UINT8"),
        "input: expected FLOAT (batch, 3, side, side), got UINT8",
    ),
    "a fixed batch": (
        lambda: input_of(64, 3, SIDE, SIDE),
        "input: expected a batch that may vary, or of 1, got FLOAT (64, 3, 8, 8)",
    ),
    "no embedding": (of_pictures, "output: expected an embedding, FLOAT (batch, features), got FLOAT (1, 3, 8, 8)"),
    "weights that are not there": (
        lambda: weights_of([BILLION, BILLION]),
        "weights weights: of the shape (1000000000, 1000000000), has not so many",
    ),
    "weights of a negative size": (
        lambda: weights_of([-1, FEATURES]),
        "weights weights: of the shape (-1, 6), has not so many",
    ),
    "weights of another shape": (lambda: weights_of([3, FEATURES]), "weights weights: damaged"),
    "weights that are no numbers": (not_finite, "weights nan: holds values that are not finite numbers"),
    "sparse weights": (sparse, "expected dense weights, got sparse ones"),
    "dropout in training": (in_training, "operator Dropout: may draw random numbers"),
    "a circle": (circular, "its graph is not consistent"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_hostile_file_is_refused_before_a_session_is_made(tmp_path: Path, case: str) -> None:
    model, expected = FILES[case]
    path = write_onnx(tmp_path, model())
    assert refusal(path).startswith(f"{path}: {expected}")


def test_the_same_file_without_any_of_it_becomes_a_session(tmp_path: Path) -> None:
    path, sessions = write_onnx(tmp_path), NoSession()
    build_onnx(read_model(path), card=card_of(path), make_session=sessions)
    assert sessions.made == 1


def test_what_a_file_says_of_itself_does_not_reach_the_session(tmp_path: Path) -> None:
    """onnxruntime may take settings from a model's metadata."""
    from onnx import ModelProto

    model = linear_model()
    model.metadata_props.add(key="ort_config", value="{}")
    model.graph.value_info.add(name="flat")
    path, given = write_onnx(tmp_path, model), []

    def make_session(content: bytes) -> Any:
        given.append(ModelProto.FromString(content))
        return NoSession()(content)

    build_onnx(read_model(path), card=card_of(path), make_session=make_session)
    assert (len(given[0].metadata_props), len(given[0].graph.value_info)) == (0, 0)
    assert given[0].graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "not an ONNX file, or an empty one: expected operators, got none"),
        (b"version https://git-lfs.github.com/spec/v1\n", "it begins with b'version https://'"),
        (b"<!DOCTYPE html>", "it begins with b'<!DOCTYPE html>'"),
        (b"\x08\x07\x3a\xff\xff\xff\xff\x0f", "not an ONNX file, or a truncated or damaged one"),
    ],
)
def test_what_is_no_onnx_file_is_refused_with_its_beginning(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "file.onnx"
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as refused:
        read_model(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert expected in str(refused.value)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = write_onnx(tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="a truncated or damaged one"):
        read_model(path)


def test_a_file_that_is_too_large_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "file.onnx"
    with path.open("wb") as file:
        file.truncate(model_file.MAX_BYTES + 10**12)  # without a block on the disk
    with pytest.raises(CheckpointError, match="expected at most 536,870,912 bytes, got 1,000,536,870,912"):
        read_model(path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\x0a\x00" * (wire.MAX_PARTS + 1), "expected at most 200,000 operators, weights and facts of these, got more"),
        (b"\x0a\x80\x80\x80\x02" + bytes(wire.MAX_BYTES), "expected at most 4,194,304 bytes beside the weights"),
    ],
    ids=["operators", "text"],
)
def test_a_file_that_grows_where_it_is_parsed_is_refused_before_that(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "file.onnx"
    length = len(content)
    sizes = bytes([*(length >> shift & 0x7F | 0x80 for shift in (0, 7, 14)), length >> 21])
    path.write_bytes(b"\x3a" + sizes + content)
    with pytest.raises(CheckpointError, match=expected):
        read_model(path)
