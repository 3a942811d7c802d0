"""Reads pickles of numeric numpy arrays, and nothing else: no code of the file's choosing runs.

The VGGFace2-pytorch files are pickles that Python 2 wrote. Not even numpy's own constructors are reached: the state of a
numpy dtype can declare numbers to be object pointers.
"""

import io
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from recognizers.checkpoints.nested_state_dicts import KeyPath, state_dicts_in
from recognizers.checkpoints.restricted_unpickler import ForbiddenError, RestrictedUnpickler, StandIn, encode, ordered_dict
from recognizers.errors import CheckpointError, shorten, some

Array = NDArray[np.generic]
NUMBER_TYPE = re.compile(r"[<>=|]?([biuf][0-9]{1,2}|\?)")
WIDEST_NUMBER = 8  # bytes: PyTorch has none wider
MAX_DIMENSIONS = 32
LARGEST_EXTENT = 2**40
BYTE_ORDERS = ("<", ">", "=", "|")


class _PickledDtype(StandIn):
    """Stands in for `numpy.dtype`: a number type and, by its state, a byte order."""

    def __init__(self, code: object, *_align_and_copy: object) -> None:
        text = _text(code)
        if not NUMBER_TYPE.fullmatch(text):
            raise ForbiddenError(f"an array of dtype {shorten(text) or 'none'}")
        self.dtype = np.dtype(text)
        if self.dtype.itemsize > WIDEST_NUMBER:
            raise ForbiddenError(f"an array of dtype {self.dtype}")

    def build(self, state: Any) -> None:
        _version, byte_order, subarray, names, fields, *_sizes_and_flags = state
        if not (subarray is names is fields is None):
            raise ForbiddenError("a structured dtype")
        order: Any = _text(byte_order)
        if order not in BYTE_ORDERS:
            raise ForbiddenError("a dtype of an unknown byte order")
        if order != "|":
            self.dtype = self.dtype.newbyteorder(cast("Any", order))


class _PickledArray(StandIn):
    """Stands in for `numpy.ndarray`: its state is a shape, a number type, a memory order and the raw bytes."""

    _value: Array | None = None

    @property
    def value(self) -> Array:
        if self._value is None:
            raise CheckpointError("an array without numbers")
        return self._value

    def build(self, state: Any) -> None:
        _version, shape, dtype, is_fortran, raw = state
        if type(dtype) is not _PickledDtype or not isinstance(raw, bytes | bytearray | str):
            raise ForbiddenError("an array of something other than numbers")
        buffer = bytearray(raw.encode("latin1") if isinstance(raw, str) else raw)  # one that torch may share
        extents = _numbers(shape, at_most=LARGEST_EXTENT)
        if math.prod(extents) * dtype.dtype.itemsize != len(buffer):
            raise ForbiddenError("an array whose shape is not that of its bytes")
        flat: Array = np.frombuffer(buffer, dtype=dtype.dtype)
        native = flat.astype(dtype.dtype.newbyteorder("="), copy=False)
        self._value = native.reshape(extents, order="F" if is_fortran else "C")

    def transpose(self, axis_order: Any) -> None:
        self._value = self.value.transpose(_numbers(axis_order, at_most=MAX_DIMENSIONS))


def _text(value: object) -> str:
    """Text as either Python writes it; nothing of what is none."""
    text = value.decode("latin1") if type(value) is bytes else value
    return text if type(text) is str else ""


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
    if type(order) is not str:
        raise ForbiddenError("an array without a memory order")
    array = _PickledArray()
    array.build((1, shape, dtype, order == "F", bytes(buffer)))
    if order == "K" and axis_order is not None:
        array.transpose(axis_order)
    return array


def _scalar(dtype: Any, raw: Any) -> _PickledArray:
    """Stands in for numpy's `scalar`: an array without dimensions."""
    array = _PickledArray()
    array.build((1, (), dtype, False, raw))
    return array


class _NumpyUnpickler(RestrictedUnpickler):
    # The published files name numpy.core, those of newer numpys numpy._core.
    stand_ins: ClassVar[Mapping[tuple[str, str], Any]] = {
        ("numpy", "dtype"): _PickledDtype,
        ("numpy", "ndarray"): _PickledArray,
        ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy.core.multiarray", "scalar"): _scalar,
        ("numpy._core.multiarray", "scalar"): _scalar,
        ("numpy.core.numeric", "_frombuffer"): _frombuffer,
        ("numpy._core.numeric", "_frombuffer"): _frombuffer,
        ("_codecs", "encode"): encode,
        ("__builtin__", "bytes"): lambda: b"",  # by which Python 3 writes empty bytes in Python 2's protocols
        ("collections", "OrderedDict"): ordered_dict,
    }


def read_numpy_pickle(path: Path) -> dict[KeyPath, dict[str, Array]]:
    """Reads a pickled dict of name -> numeric numpy array, such as the VGGFace2-pytorch files.

    Returns:
        The arrays by their names, in native byte order, for each dict that holds some: the file's own, or those within it
        where it wraps such dicts (as training loops write them), with what else it holds left out.

    Raises:
        CheckpointError: the pickle is cut short, holds anything but numeric arrays, or is not a dict of them.
        OSError: the file cannot be read.
    """
    raw = path.read_bytes()
    unpickler = _NumpyUnpickler(io.BytesIO(raw), size=len(raw))
    contents, refused = unpickler.read_pickles(1, damaged="not a pickle, or a truncated or damaged one")
    if refused:
        raise CheckpointError(
            f"the pickle holds something other than numeric arrays ({some(refused)}); refused, nothing of it was executed. "
            "Save the network's state_dict() with torch.save instead"
        )
    return {
        keys: {name: array.value for name, array in named.items()} for keys, named in _pickled_arrays(contents[0]).items()
    }


def _pickled_arrays(content: object) -> dict[KeyPath, dict[str, _PickledArray]]:
    expected = "expected a dict of name -> array"
    if not isinstance(content, dict):
        raise CheckpointError(f"{expected}, got {type(content).__name__}")
    for name in content:
        if not isinstance(name, str):
            raise CheckpointError(f"{expected}, got a {type(name).__name__} as a name")
    found = state_dicts_in(content, _PickledArray)
    own = found.get((), {})
    wraps_others = found.keys() - {()} and not any(array.value.ndim for array in own.values())
    if not wraps_others and (rest := [name for name in content if name not in own]):
        raise CheckpointError(f"{expected}, got {shorten(rest[0])} -> {type(content[rest[0]]).__name__}")
    return found
