"""Reads pickles of numeric numpy arrays, and nothing else: no code of the file's choosing runs.

The VGGFace2-pytorch files are pickles that Python 2 wrote. Unpickling calls whatever the file names and hands it whatever
state the file holds, so every name that resolves here is one of the few stand-ins below. Not even numpy's own
constructors are reached: the state of a numpy dtype can declare numbers to be object pointers.
"""

import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recognizers.errors import CheckpointError

Array = NDArray[np.generic]
NUMERIC_KINDS = frozenset("biuf")


class _ForbiddenError(pickle.UnpicklingError):
    """The pickle asks for something other than numeric arrays."""


class _PickledDtype:
    """Stands in for `numpy.dtype`: a number type and, by its state, a byte order."""

    def __init__(self, code: object, *_align_and_copy: object) -> None:
        dtype = np.dtype(code.decode("latin1") if isinstance(code, bytes) else str(code))
        if dtype.kind not in NUMERIC_KINDS or dtype.subdtype is not None:
            raise _ForbiddenError(f"an array of dtype {dtype}")
        self.dtype = dtype

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, byte_order, subarray, names, fields, *_sizes_and_flags = state
        if (subarray, names, fields) != (None, None, None):
            raise _ForbiddenError("a structured dtype")
        self.dtype = self.dtype.newbyteorder(byte_order)


class _PickledArray:
    """Stands in for `numpy.ndarray`: its state is a shape, a number type, a memory order and the raw bytes."""

    value: Array

    @classmethod
    def reconstruct(cls, subtype: type, _shape: object, _typecode: object) -> "_PickledArray":
        """Stands in for numpy's `_reconstruct`: an empty array that the state then fills."""
        if subtype is not cls:
            raise _ForbiddenError(f"an array of class {subtype!r}")
        return cls()

    @classmethod
    def from_buffer(cls, buffer: Any, dtype: Any, shape: Any, order: str) -> "_PickledArray":
        """Stands in for numpy's `_frombuffer`, which pickle protocol 5 uses."""
        array = cls()
        array.__setstate__((1, shape, dtype, order == "F", bytes(buffer)))
        return array

    @classmethod
    def scalar(cls, dtype: Any, raw: Any) -> "_PickledArray":
        """Stands in for numpy's `scalar`: an array without dimensions."""
        array = cls()
        array.__setstate__((1, (), dtype, False, raw))
        return array

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, shape, dtype, is_fortran, raw = state
        if not isinstance(dtype, _PickledDtype) or not isinstance(raw, bytes | str):
            raise _ForbiddenError("an array of something other than numbers")
        buffer = raw.encode("latin1") if isinstance(raw, str) else raw
        flat: Array = np.frombuffer(buffer, dtype=dtype.dtype)
        self.value = flat.reshape(shape, order="F" if is_fortran else "C")


def _encode(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise _ForbiddenError(f"text in the encoding {encoding!r}")
    return text.encode("latin1")


# The published files name numpy.core.multiarray, those of newer numpys numpy._core.multiarray.
_STAND_INS: Mapping[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "dtype"): _PickledDtype,
    ("numpy", "ndarray"): _PickledArray,
    ("numpy.core.multiarray", "_reconstruct"): _PickledArray.reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _PickledArray.reconstruct,
    ("numpy.core.multiarray", "scalar"): _PickledArray.scalar,
    ("numpy._core.multiarray", "scalar"): _PickledArray.scalar,
    ("numpy.core.numeric", "_frombuffer"): _PickledArray.from_buffer,
    ("numpy._core.numeric", "_frombuffer"): _PickledArray.from_buffer,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): OrderedDict,
}


class _NumericUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _STAND_INS[module, name]
        except KeyError:
            raise _ForbiddenError(f"{module}.{name}") from None

    def persistent_load(self, pid: Any) -> Any:
        raise _ForbiddenError("an object stored outside the file")


def read_numeric_pickle(path: Path) -> dict[str, Array]:
    """Reads a pickled dict of name -> numeric numpy array, such as the VGGFace2-pytorch files.

    Raises:
        CheckpointError: the pickle is cut short, holds anything but numeric arrays, or is not a dict of them.
    """
    try:
        with path.open("rb") as file:
            content = _NumericUnpickler(file, encoding="latin1").load()
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
        if not isinstance(name, str) or not isinstance(array, _PickledArray) or not hasattr(array, "value"):
            raise CheckpointError(f"expected a dict of name -> numeric array, got {name!r} -> {type(array).__name__}")
        arrays[name] = array.value
    return arrays
