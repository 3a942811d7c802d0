"""What an ONNX file may be: one graph of known operators, from one image to one embedding, with its weights inside."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np

from recognizers.errors import CheckpointError, shorten
from recognizers.onnx.model_file import Proto
from recognizers.onnx.operators import ALLOWED, CONTROL_FLOW

OPSETS = range(7, 24)  # versions of the default operators, since BatchNormalization has had no modes
MAX_OPERATORS = 10_000
MAX_ATTRIBUTE = 2**31  # of whole numbers, so that no sum of a few overflows
CHANNELS = 3
_DEFAULT_DOMAINS = ("", "ai.onnx")
_LARGEST_SLICE = ("Slice",)  # whose ends may be the largest number, for the end of an axis


@dataclass(frozen=True)
class Interface:
    """What goes in, float32 (batch, 3, side, side), and what comes out."""

    input: str
    side: int
    output: str


def check_structure(model: Proto) -> Interface:
    """Makes sure that a model is one graph that can be checked further; nothing of it is computed.

    Raises:
        CheckpointError: it is not. The message names what is refused, and not the file.
    """
    opset = opset_of(model)
    if opset not in OPSETS:
        raise CheckpointError(f"opset: expected {OPSETS[0]} to {OPSETS[-1]}, got {opset}: export it with one of these")
    if model.functions or model.training_info:
        raise CheckpointError("expected one graph, got functions or training beside it")
    _check_operators(model)
    _check_weights(model)
    return _interface(model.graph)


def opset_of(model: Proto) -> int | None:
    """The version of the default operators that a model states."""
    versions = [each.version for each in model.opset_import if each.domain in _DEFAULT_DOMAINS]
    return int(versions[0]) if len(versions) == 1 else None


def inputs_of(graph: Proto) -> list[Proto]:
    """The inputs of a graph; older files count weights among them."""
    weights = {each.name for each in graph.initializer}
    return [each for each in graph.input if each.name not in weights]


def _check_operators(model: Proto) -> None:
    if len(model.graph.node) > MAX_OPERATORS:
        raise CheckpointError(f"expected at most {MAX_OPERATORS:,} operators, got {len(model.graph.node):,}")
    for node in model.graph.node:
        where = f"operator {shorten(node.op_type)} {shorten(node.name)}".rstrip()
        if node.domain not in _DEFAULT_DOMAINS:
            raise CheckpointError(f"{where}: expected one of ONNX's own operators, got one of {shorten(node.domain)}")
        if node.op_type in CONTROL_FLOW:
            raise CheckpointError(f"{where}: loops and branches are refused, as their cost cannot be told beforehand")
        if node.op_type not in ALLOWED:
            raise CheckpointError(f"{where}: is not among those that face networks need: {', '.join(sorted(ALLOWED))}")
        if node.op_type == "Dropout" and any(node.input[2:]):
            raise CheckpointError(f"{where}: may draw random numbers; export the network in evaluation mode")
        for attribute in node.attribute:
            _check_attribute(
                attribute, where=f"{where}: {shorten(attribute.name)}", bounded=node.op_type not in _LARGEST_SLICE
            )


def _check_attribute(attribute: Proto, *, where: str, bounded: bool) -> None:
    held = ("g", "graphs", "sparse_tensor", "sparse_tensors", "tp", "type_protos")
    if attribute.ref_attr_name or any(field.name in held for field, _ in attribute.ListFields()):
        raise CheckpointError(f"{where}: expected numbers, text or a tensor, got a graph, a type or a sparse tensor")
    if bounded and any(abs(number) >= MAX_ATTRIBUTE for number in (attribute.i, *attribute.ints)):
        raise CheckpointError(f"{where}: expected numbers below {MAX_ATTRIBUTE:,}, got a larger one")


def _check_weights(model: Proto) -> None:
    if model.graph.sparse_initializer:
        raise CheckpointError("expected dense weights, got sparse ones")
    for tensor in tensors_of(model.graph):
        _check_tensor(tensor)


def tensors_of(graph: Proto) -> Iterator[Proto]:
    """All that a graph holds: weights, and the constants of its operators."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _check_tensor(tensor: Proto) -> None:
    from onnx import TensorProto, numpy_helper

    where = f"weights {shorten(tensor.name)}".rstrip()
    if tensor.external_data or tensor.data_location == TensorProto.EXTERNAL:
        raise CheckpointError(
            f"{where}: lie in another file, which is not opened; save the model with its weights inside: "
            'onnx.save(onnx.load("FILE"), "OUT.onnx")'
        )
    types = {
        *(TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE),
        *(TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL),
    }
    if tensor.data_type not in types or tensor.HasField("segment"):
        raise CheckpointError(f"{where}: expected plain numbers, got the type {tensor.data_type}")
    fields = ("raw_data", "float_data", "double_data", "int32_data", "int64_data")
    elements = prod(tensor.dims) if min(tensor.dims, default=1) >= 0 else -1
    if elements < 0 or elements > sum(len(getattr(tensor, field)) for field in fields):  # in bytes at least as many
        raise CheckpointError(f"{where}: of the shape {shorten(str(tuple(tensor.dims)))}, has not so many numbers")
    try:
        array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, RuntimeError) as error:
        raise CheckpointError(f"{where}: damaged: {shorten(str(error))}") from error
    if not np.isfinite(array).all():
        raise CheckpointError(f"{where}: holds values that are not finite numbers")


def _interface(graph: Proto) -> Interface:
    from onnx import TensorProto

    inputs, outputs = inputs_of(graph), list(graph.output)
    for what, found in (("input", inputs), ("output", outputs)):
        if len(found) != 1:
            names = ", ".join(shorten(each.name) for each in found[:4])
            raise CheckpointError(f"expected one {what}, got {len(found)}{f': {names}' if names else ''}")
    kind = inputs[0].type.tensor_type
    dimensions = [each.dim_value if each.HasField("dim_value") else each.dim_param or "?" for each in kind.shape.dim]
    sides = dimensions[2:]
    shown = f"{TensorProto.DataType.Name(kind.elem_type)} ({', '.join(shorten(str(each)) for each in dimensions)})"
    if kind.elem_type != TensorProto.FLOAT or len(dimensions) != 4 or dimensions[1] != CHANNELS:
        raise CheckpointError(f"input: expected FLOAT (batch, {CHANNELS}, side, side), got {shown}")
    if not isinstance(sides[0], int) or sides[0] < 1 or sides[0] != sides[1]:
        raise CheckpointError(
            f"input: expected a square of fixed size, as only the batch may vary, got {shown}; fix it: "
            "python -m onnxruntime.tools.make_dynamic_shape_fixed"
        )
    if isinstance(dimensions[0], int) and dimensions[0] > 1:
        raise CheckpointError(f"input: expected a batch that may vary, or of 1, got {shown}")
    return Interface(inputs[0].name, sides[0], outputs[0].name)
