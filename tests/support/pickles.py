"""Pickles of numpy arrays by their opcodes, such as Python 2 wrote."""

import struct
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]


def python2_pickle(arrays: Mapping[str, Array]) -> bytes:
    """A dict of name -> array as Python 2 with the numpy of its time pickled it (protocol 2)."""
    items = b"".join(byte_string(name.encode()) + python2_array(array) for name, array in arrays.items())
    return pickled(b"}(" + items + b"u")


def python2_array(array: Array) -> bytes:
    kind = array.dtype.str.replace("|", "")[-2:] if array.dtype.kind != "b" else "b1"
    order = ">" if array.dtype.str.startswith(">") else "|" if array.dtype.itemsize == 1 else "<"
    shape = b"(" + b"".join(integer(extent) for extent in array.shape) + b"t"
    return array_opcodes(dtype=dtype_opcodes(kind, order), shape=shape, raw=byte_string(array.tobytes()))


def array_opcodes(*, dtype: bytes, shape: bytes, raw: bytes, is_fortran: bool = False) -> bytes:
    """numpy.core.multiarray._reconstruct(numpy.ndarray, (0,), 'b'), given the state (1, shape, dtype, is_fortran, raw)."""
    empty = b"cnumpy.core.multiarray\n_reconstruct\n" + b"cnumpy\nndarray\n" + b"K\x00\x85" + byte_string(b"b") + b"\x87R"
    return empty + b"(K\x01" + shape + dtype + (b"\x88" if is_fortran else b"\x89") + raw + b"tb"


def dtype_opcodes(
    code: str, order: str, *, subarray: bytes = b"N", names: bytes = b"N", fields: bytes = b"N", flags: int = 0
) -> bytes:
    """numpy.dtype(code, 0, 1), given the state (3, order, subarray, names, fields, -1, -1, flags)."""
    made = b"cnumpy\ndtype\n" + byte_string(code.encode()) + b"K\x00K\x01\x87R"
    state = byte_string(order.encode()) + subarray + names + fields + integer(-1) + integer(-1) + integer(flags)
    return made + b"(K\x03" + state + b"tb"


def byte_string(text: bytes) -> bytes:
    """Python 2's str."""
    return b"U" + bytes([len(text)]) + text if len(text) < 256 else b"T" + struct.pack("<i", len(text)) + text


def integer(number: int) -> bytes:
    return b"J" + struct.pack("<i", number)


def pickled(opcodes: bytes) -> bytes:
    return b"\x80\x02" + opcodes + b"."
