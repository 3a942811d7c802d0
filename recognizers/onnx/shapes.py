"""What an ONNX file would compute of one face: the shape of every intermediate result, inferred and bounded.

All dimensions are then known, so that a file that would fill the memory is refused before anything is allocated for it.
"""

from math import prod

from recognizers.errors import CheckpointError, shorten
from recognizers.onnx.model_file import Proto
from recognizers.onnx.structure import Interface, inputs_of

MAX_ELEMENTS = 2**24  # of one result: five times the largest of the networks here
MAX_TOTAL = 2**28  # of all
_SMALL = 64  # elements: what may be a shape, and not weights
_DIMENSIONS = 8


def one_face(model: Proto, interface: Interface) -> Proto:
    """A model for a batch of one, in a new message: of the old one only the graph, without what it claims of itself.

    Its shapes, descriptions and metadata are left out, and weights are no inputs, as in older files they could be.
    """
    import onnx

    alone = onnx.ModelProto()
    alone.ir_version = max(model.ir_version, 4)  # from which on weights need be no inputs
    alone.opset_import.extend(each for each in model.opset_import if each.domain in ("", "ai.onnx"))
    graph = alone.graph
    graph.name = "network"
    graph.node.extend(model.graph.node)
    graph.initializer.extend(model.graph.initializer)
    (image,) = inputs_of(model.graph)
    graph.input.add().CopyFrom(image)
    graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    graph.output.add(name=interface.output).type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    return alone


def check_shapes(model: Proto, interface: Interface) -> int:
    """Infers and bounds every intermediate result of a model for one face; nothing of it is computed.

    Returns:
        the width of the embedding.

    Raises:
        CheckpointError: the graph is none, a shape cannot be inferred, or a result is too large or no embedding.
    """
    import onnx

    try:
        skeleton = _without_weights(model)
        output = skeleton.graph.output[0].type.tensor_type
        output.shape.dim.add()  # any, which the checker asks for, and which inference would hold results against
        onnx.checker.check_model(skeleton)
        output.ClearField("shape")
        inferred = onnx.shape_inference.infer_shapes(skeleton, check_type=True, strict_mode=True, data_prop=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"its graph is not consistent: {shorten(str(error))}") from error
    shapes = {each.name: _shape(each) for each in (*inferred.graph.value_info, *inferred.graph.output)}
    total = 0
    for node in model.graph.node:
        for name in filter(None, node.output):
            where = f"operator {shorten(node.op_type)} {shorten(node.name)}".rstrip()
            shape = shapes.get(name)
            if shape is None or len(shape) > _DIMENSIONS:
                raise CheckpointError(
                    f"{where}: the shape of its result cannot be told, so that it cannot be bounded; export the network for "
                    "images of a fixed size, or simplify it (onnxsim)"
                )
            elements = prod(shape)
            total += elements
            if elements > MAX_ELEMENTS:
                raise CheckpointError(f"{where}: expected at most {MAX_ELEMENTS:,} elements, got {elements:,}")
    if total > MAX_TOTAL:
        raise CheckpointError(f"expected at most {MAX_TOTAL:,} elements of all results together, got {total:,}")
    return _width(inferred.graph.output[0], shapes.get(interface.output))


def _without_weights(model: Proto) -> Proto:
    """The same with inputs in place of weights, of which only the shape matters here."""
    import onnx

    skeleton = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    skeleton.graph.name = model.graph.name
    skeleton.graph.node.extend(model.graph.node)
    skeleton.graph.input.extend(model.graph.input)
    skeleton.graph.output.extend(model.graph.output)
    for weights in model.graph.initializer:
        if prod(weights.dims) <= _SMALL:
            skeleton.graph.initializer.add().CopyFrom(weights)
        else:
            kind = onnx.helper.make_tensor_value_info(weights.name, weights.data_type, list(weights.dims))
            skeleton.graph.input.add().CopyFrom(kind)
    return skeleton


def _shape(value: Proto) -> tuple[int, ...] | None:
    kind = value.type.tensor_type
    if not kind.HasField("shape") or not all(each.HasField("dim_value") and each.dim_value >= 0 for each in kind.shape.dim):
        return None
    return tuple(each.dim_value for each in kind.shape.dim)


def _width(output: Proto, shape: tuple[int, ...] | None) -> int:
    from onnx import TensorProto

    kind = output.type.tensor_type.elem_type
    if shape is None or len(shape) != 2 or shape[0] != 1 or shape[1] < 1 or kind != TensorProto.FLOAT:
        shown = f"{TensorProto.DataType.Name(kind)} {shape or 'of no shape'}"
        raise CheckpointError(f"output: expected an embedding, FLOAT (batch, features), got {shown}")
    return shape[1]
