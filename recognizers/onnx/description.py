"""What an ONNX file is, as `inspect` says it, whether or not it can be used."""

from collections import Counter
from collections.abc import Mapping
from math import prod

from recognizers.errors import shorten
from recognizers.onnx.model_file import OnnxFile, Proto
from recognizers.onnx.structure import inputs_of, opset_of

_MOST_SHOWN = 24


def described(file: OnnxFile) -> Mapping[str, str]:
    """Facts of a file that is not checked, by name."""
    graph = file.model.graph
    parameters = sum(prod(each.dims) for each in graph.initializer)
    return {
        "file": str(file.path),
        "format": f"ONNX, opset {opset_of(file.model) or 'unknown'}{_producer(file.model)}",
        "operators": _operators(graph),
        "input": _values(inputs_of(graph)),
        "output": _values(graph.output),
        "parameters": f"{parameters:,}",
        "sha256": file.sha256,
    }


def _producer(model: Proto) -> str:
    name = shorten(f"{model.producer_name} {model.producer_version}").strip()
    return f", made by {name}" if name else ""


def _operators(graph: Proto) -> str:
    counts = Counter(shorten(node.op_type) for node in graph.node).most_common()
    shown = ", ".join(f"{count} {name}" for name, count in counts[:_MOST_SHOWN])
    return shown + (f", and {len(counts) - _MOST_SHOWN} more kinds" if len(counts) > _MOST_SHOWN else "")


def _values(values: Proto) -> str:
    return "; ".join(_value(each) for each in list(values)[:4]) or "none"


def _value(value: Proto) -> str:
    from onnx import TensorProto

    kind = value.type.tensor_type
    sides = ", ".join(
        str(each.dim_value) if each.HasField("dim_value") else each.dim_param or "?" for each in kind.shape.dim
    )
    known = kind.elem_type in TensorProto.DataType.values()
    return shorten(f"{value.name} {TensorProto.DataType.Name(kind.elem_type) if known else '?'} ({sides})")
