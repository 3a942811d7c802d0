"""Reads pickles of numeric numpy arrays, and nothing else: no code of the file's choosing runs.

The VGGFace2-pytorch files are pickles that Python 2 wrote. Not even numpy's own constructors are reached: the state of a
numpy dtype can declare numbers to be object pointers.
"""

import io
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from recognizers.checkpoints.restricted_unpickler import (
    ForbiddenError,
    RestrictedUnpickler,
    encode,
    ordered_dict,
    why_damaged,
)
from recognizers.errors import CheckpointError, shorten, some

Array = NDArray[np.generic]
NUMBER_TYPE = re.compile(r"[<>=|]?([biuf][0-9]{1,2}|\?)")
WIDEST_NUMBER = 8  # bytes: PyTorch has none wider
MAX_DIMENSIONS = 32
LARGEST_EXTENT = 2**40
DEEPEST = 3  # dicts within dicts
BYTE_ORDERS = ("<", ">", "=", "|")


class _PickledDtype:
    """Stands in for `numpy.dtype`: a number type and, by its state, a byte order."""

    def __init__(self, code: object, *_align_and_copy: object) -> None:
        text = code.decode("latin1") if type(code) is bytes else code
        if type(text) is not str or not NUMBER_TYPE.fullmatch(text):
            raise ForbiddenError(f"an array of dtype {shorten(text)}" if type(text) is str else "an array of no dtype")
        dtype = np.dtype(text)
        if dtype.itemsize > WIDEST_NUMBER:
            raise ForbiddenError(f"an array of dtype {dtype}")
        self.dtype = dtype

    def build(self, state: Any) -> None:
        """What `numpy.dtype.__setstate__` does, for numbers."""
        _version, byte_order, subarray, names, fields, *_sizes_and_flags = state
        if not (subarray is names is fields is None):
            raise ForbiddenError("a structured dtype")
        order: Any = byte_order.decode("latin1") if type(byte_order) is bytes else byte_order
        if type(order) is not str or order not in BYTE_ORDERS:
            raise ForbiddenError("a dtype of an unknown byte order")
        if order != "|":
            self.dtype = self.dtype.newbyteorder(cast("Any", order))


class _PickledArray:
    """Stands in for `numpy.ndarray`: its state is a shape, a number type, a memory order and the raw bytes."""

    value: Array | None = None

    def build(self, state: Any) -> None:
        """What `numpy.ndarray.__setstate__` does, for numbers."""
        _version, shape, dtype, is_fortran, raw = state
        if type(dtype) is not _PickledDtype or not isinstance(raw, bytes | bytearray | str):
            raise ForbiddenError("an array of something other than numbers")
        buffer = bytearray(raw.encode("latin1") if isinstance(raw, str) else raw)  # one that torch may share
        extents = _numbers(shape, at_most=LARGEST_EXTENT)
        if math.prod(extents) * dtype.dtype.itemsize != len(buffer):
            raise ForbiddenError("an array whose shape is not that of its bytes")
        flat: Array = np.frombuffer(buffer, dtype=dtype.dtype)
        self.value = flat.reshape(extents, order="F" if is_fortran else "C")


def _numbers(values: Any, *, at_most: int) -> tuple[int, ...]:
    """A shape or an order of dimensions, of few and small numbers."""
    numbers = tuple(values) if type(values) in (tuple, list) and len(values) <= MAX_DIMENSIONS else None
    if numbers is None or not all(type(number) is int and 0 <= number <= at_most for number in numbers):
        raise ForbiddenError("an array without a shape")
    return numbers


def _reconstruct(subtype: object, _shape: object, _typecode: object) -> _PickledArray:
    """Stands in for numpy's `_reconstruct`: an empty array that a state then fills."""
    if subtype is not _PickledArray:
        raise ForbiddenError("an array of a class of its own")
    return _PickledArray()


def _frombuffer(buffer: Any, dtype: Any, shape: Any, order: Any, axis_order: Any = None) -> _PickledArray:
    """Stands in for numpy's `_frombuffer`, which pickle protocol 5 uses."""
    array = _PickledArray()
    if type(order) is not str:
        raise ForbiddenError("an array without a memory order")
    array.build((1, shape, dtype, order == "F", bytes(buffer)))
    if order == "K" and axis_order is not None and array.value is not None:
        array.value = array.value.transpose(_numbers(axis_order, at_most=MAX_DIMENSIONS))
    return array


def _scalar(dtype: Any, raw: Any) -> _PickledArray:
    """Stands in for numpy's `scalar`: an array without dimensions."""
    array = _PickledArray()
    array.build((1, (), dtype, False, raw))
    return array


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
    ("_codecs", "encode"): encode,
    ("__builtin__", "bytes"): _no_bytes,
    ("collections", "OrderedDict"): ordered_dict,
}


class _NumericUnpickler(RestrictedUnpickler):
    """Knows numpy's arrays."""

    def stand_in(self, module: str, name: str) -> Any:
        return _STAND_INS.get((module, name))

    def build(self, target: Any, state: Any) -> None:
        if type(target) not in (_PickledDtype, _PickledArray):
            raise ForbiddenError("state for something other than an array")
        target.build(state)


def read_numeric_pickle(path: Path) -> dict[str, Any]:
    """Reads a pickled dict of name -> numeric numpy array, such as the VGGFace2-pytorch files.

    Returns:
        The arrays by their names; of a dict that wraps such dicts (as training loops write them), the dicts in it, with
        what else it holds left out.

    Raises:
        CheckpointError: the pickle is cut short, holds anything but numeric arrays, or is not a dict of them.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot be read: {error.strerror or error}") from error
    unpickler = _NumericUnpickler(io.BytesIO(content), size=len(content))
    try:
        named = unpickler.load()
    except ForbiddenError as error:
        raise _refused(str(error)) from error
    except Exception as error:  # a damaged pickle can fail in any instruction, with any exception
        if not unpickler.foreign:
            raise CheckpointError(f"not a pickle, or a truncated or damaged one: {why_damaged(error)}") from error
    if unpickler.foreign:
        raise _refused(some(unpickler.foreign))
    return _named_arrays(named)


def _refused(what: str) -> CheckpointError:
    return CheckpointError(
        f"the pickle holds something other than numeric arrays ({what}); refused, nothing of it was executed. Save the "
        "network's state_dict() with torch.save instead"
    )


def _named_arrays(content: object) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise CheckpointError(f"expected a dict of name -> array, got {type(content).__name__}")
    for name in content:
        if not isinstance(name, str):
            raise CheckpointError(f"expected a dict of name -> array, got a {type(name).__name__} as a name")
    arrays = _arrays(content, depth=DEEPEST, known={})
    wrapped = {name: value for name, value in arrays.items() if isinstance(value, dict)}
    if wrapped and not any(isinstance(value, np.ndarray) and value.ndim for value in arrays.values()):
        return wrapped
    for name, value in content.items():
        if not isinstance(arrays.get(name), np.ndarray):
            raise CheckpointError(f"expected a dict of name -> array, got {shorten(name)} -> {type(value).__name__}")
    return arrays


def _arrays(content: dict[Any, Any], *, depth: int, known: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """The arrays of a mapping and of the mappings in it, without all else; each mapping is looked through once."""
    if id(content) in known:
        return known[id(content)]
    found: dict[str, Any] = {}
    known[id(content)] = {}  # while it is looked through, it holds nothing: it may hold itself
    for name, value in content.items():
        if isinstance(value, _PickledArray) and value.value is not None:
            found[name] = value.value
        elif isinstance(value, dict) and depth and (nested := _arrays(value, depth=depth - 1, known=known)):
            found[name] = nested
    known[id(content)] = found
    return found
