"""How much of an ONNX file is not weights, told from its bytes before they are parsed.

A message of two bytes takes a hundred in memory once it is parsed: a file of nothing but operators would fill the memory
before they could be counted. Weights take as much as in the file.
"""

from collections.abc import Iterator
from itertools import islice

from recognizers.errors import CheckpointError

MAX_BYTES = 4 * 2**20  # beside weights: the description of an IResNet-100 has 0.1 MiB
MAX_PARTS = 200_000
# Numbers of fields, in ModelProto, GraphProto and TensorProto (onnx.proto).
_GRAPH, _INITIALIZER, _FLOAT_DATA, _RAW_DATA = 7, 5, 4, 9
# By the wire type of protocol buffers: how many bytes a number takes.
_VARINT, _LENGTH_DELIMITED = 0, 2
_FIXED = {1: 8, 5: 4}
_VARINT_BYTES = 10


def check_description(content: bytes) -> None:
    """Makes sure that a serialised model, its weights aside, is small.

    Raises:
        CheckpointError: it is not.
        ValueError: it is no message of protocol buffers.
    """
    weights = list(islice(_weights(memoryview(content)), MAX_PARTS + 1))
    if len(weights) > MAX_PARTS:
        raise CheckpointError(f"expected at most {MAX_PARTS:,} operators, weights and facts of these, got more")
    described = len(content) - sum(weights)
    if described > MAX_BYTES:
        raise CheckpointError(f"expected at most {MAX_BYTES:,} bytes beside the weights (initializers), got {described:,}")


def _weights(content: memoryview) -> Iterator[int]:
    """For each part of a model: how many bytes of it are weights."""
    for in_model, graph in _fields(content):
        yield 0
        for in_graph, tensor in _fields(graph) if in_model == _GRAPH else ():
            yield 0
            for in_tensor, numbers in _fields(tensor) if in_graph == _INITIALIZER else ():
                yield len(numbers) if in_tensor in (_FLOAT_DATA, _RAW_DATA) else 0


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The fields of a message: the number of each, and its bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        length = 0
        if kind == _VARINT:
            _, at = _varint(message, at)
        elif kind == _LENGTH_DELIMITED:
            length, at = _varint(message, at)
        elif kind in _FIXED:
            length = _FIXED[kind]
        else:
            raise ValueError("no message of protocol buffers")
        if at + length > len(message):
            raise ValueError("no message of protocol buffers")
        yield key >> 3, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number that begins at a place, and the place behind it."""
    number = 0
    for place, byte in enumerate(message[at : at + _VARINT_BYTES]):
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return number, at + place + 1
    raise ValueError("no message of protocol buffers")
