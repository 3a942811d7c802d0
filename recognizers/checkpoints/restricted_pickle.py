"""Reads pickles of numeric numpy arrays, and nothing else: no code of the file's choosing runs.

The VGGFace2-pytorch files are pickles that Python 2 wrote. Unpickling calls whatever the file names and hands it whatever
state the file holds. Here every name that resolves is one of the few stand-ins below, and state reaches only them. Not even
numpy's own constructors are reached: the state of a numpy dtype can declare numbers to be object pointers.
"""

import io
import math
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from recognizers.errors import CheckpointError

Array = NDArray[np.generic]
NUMERIC_KINDS = frozenset("biuf")
WIDEST_NUMBER = 8  # bytes: PyTorch has none wider
BYTE_ORDERS = frozenset("<>=|")


class _ForbiddenError(pickle.UnpicklingError):
    """The pickle asks for something other than numeric arrays."""


class _PickledDtype:
    """Stands in for `numpy.dtype`: a number type and, by its state, a byte order."""

    def __init__(self, code: object, *_align_and_copy: object) -> None:
        dtype = np.dtype(code.decode("latin1") if isinstance(code, bytes) else str(code))
        if dtype.kind not in NUMERIC_KINDS or dtype.itemsize > WIDEST_NUMBER or dtype.subdtype is not None:
            raise _ForbiddenError(f"an array of dtype {dtype}")
        self.dtype = dtype

    def build(self, state: Any) -> None:
        """What `numpy.dtype.__setstate__` does, for numbers."""
        _version, byte_order, subarray, names, fields, *_sizes_and_flags = state
        if (subarray, names, fields) != (None, None, None):
            raise _ForbiddenError("a structured dtype")
        order: Any = byte_order.decode("latin1") if isinstance(byte_order, bytes) else byte_order
        if order not in BYTE_ORDERS:
            raise _ForbiddenError("a dtype of an unknown byte order")
        if order != "|":
            self.dtype = self.dtype.newbyteorder(order)


class _PickledArray:
    """Stands in for `numpy.ndarray`: its state is a shape, a number type, a memory order and the raw bytes."""

    value: Array | None = None

    def build(self, state: Any) -> None:
        """What `numpy.ndarray.__setstate__` does, for numbers."""
        _version, shape, dtype, is_fortran, raw = state
        if type(dtype) is not _PickledDtype or not isinstance(raw, bytes | bytearray | str):
            raise _ForbiddenError("an array of something other than numbers")
        buffer = raw.encode("latin1") if isinstance(raw, str) else bytes(raw)
        extents = tuple(shape)
        if not all(type(extent) is int and extent >= 0 for extent in extents):
            raise _ForbiddenError("an array without a shape")
        if math.prod(extents) * dtype.dtype.itemsize != len(buffer):
            raise _ForbiddenError("an array whose shape is not that of its bytes")
        flat: Array = np.frombuffer(buffer, dtype=dtype.dtype)
        self.value = flat.reshape(extents, order="F" if is_fortran else "C")


def _reconstruct(subtype: object, _shape: object, _typecode: object) -> _PickledArray:
    """Stands in for numpy's `_reconstruct`: an empty array that a state then fills."""
    if subtype is not _PickledArray:
        raise _ForbiddenError("an array of a class of its own")
    return _PickledArray()


def _frombuffer(buffer: Any, dtype: Any, shape: Any, order: Any, axis_order: Any = None) -> _PickledArray:
    """Stands in for numpy's `_frombuffer`, which pickle protocol 5 uses."""
    array = _PickledArray()
    array.build((1, shape, dtype, order == "F", bytes(buffer)))
    if order == "K" and axis_order is not None and array.value is not None:
        array.value = array.value.transpose(axis_order)
    return array


def _scalar(dtype: Any, raw: Any) -> _PickledArray:
    """Stands in for numpy's `scalar`: an array without dimensions."""
    array = _PickledArray()
    array.build((1, (), dtype, False, raw))
    return array


def _encode(text: Any, encoding: Any) -> bytes:
    """Stands in for `_codecs.encode`, by which Python 3 writes bytes in Python 2's protocols."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise _ForbiddenError("text in another encoding than latin1")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """Stands in for `bytes`, by which Python 3 writes empty bytes in Python 2's protocols."""
    return b""


# The published files name numpy.core.multiarray, those of newer numpys numpy._core.multiarray.
_STAND_INS: Mapping[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "dtype"): _PickledDtype,
    ("numpy", "ndarray"): _PickledArray,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _frombuffer,
    ("numpy._core.numeric", "_frombuffer"): _frombuffer,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): _no_bytes,
    ("collections", "OrderedDict"): OrderedDict,
}


class _NumericUnpickler(pickle._Unpickler):
    """The standard library's unpickler in Python: unlike the one in C, it can be told whom state may reach.

    Through the C one a file may set attributes of functions, and claim gigabytes for its memo.
    """

    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)
    stack: list[Any]
    read: Callable[[int], bytes]
    readline: Callable[[], bytes]

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _STAND_INS[module, name]
        except KeyError:
            raise _ForbiddenError(f"{module}.{name}") from None

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to something outside the file")

    def load_global(self) -> None:
        module, name = self.readline(), self.readline()
        if not (module.endswith(b"\n") and name.endswith(b"\n")):
            raise EOFError("it ends within a name")
        self.stack.append(self.find_class(module[:-1].decode(), name[:-1].decode()))

    def load_build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if type(target) not in (_PickledDtype, _PickledArray):
            raise _ForbiddenError("state for something other than an array")
        target.build(state)

    def load_bytearray8(self) -> None:
        self.stack.append(self.read(int.from_bytes(self.read(8), "little")))

    dispatch[pickle.GLOBAL[0]] = load_global
    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8
    dispatch[pickle.BUILD[0]] = load_build


def read_numeric_pickle(path: Path) -> dict[str, Array]:
    """Reads a pickled dict of name -> numeric numpy array, such as the VGGFace2-pytorch files.

    Raises:
        CheckpointError: the pickle is cut short, holds anything but numeric arrays, or is not a dict of them.
    """
    try:
        # From memory: reading cannot give more than the file holds, whatever length it declares.
        content = _NumericUnpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    except _ForbiddenError as error:
        raise CheckpointError(
            f"the pickle holds something other than numeric arrays ({error}); refused, nothing of it was executed"
        ) from error
    except Exception as error:  # a damaged pickle can fail in any opcode, with any exception
        raise CheckpointError(f"not a pickle, or a truncated or damaged one: {error}") from error
    return _named_arrays(content)


def _named_arrays(content: object) -> dict[str, Array]:
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict):
        raise CheckpointError(f"expected a dict of name -> array, got {type(content).__name__}")
    arrays: dict[str, Array] = {}
    for name, array in content.items():
        if not isinstance(name, str):
            raise CheckpointError(f"expected a dict of name -> array, got a {type(name).__name__} as a name")
        if not isinstance(array, _PickledArray) or array.value is None:
            raise CheckpointError(f"expected a dict of name -> array, got {name!r} -> {type(array).__name__}")
        arrays[name] = array.value
    return arrays
