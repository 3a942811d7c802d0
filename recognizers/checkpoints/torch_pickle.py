"""Walks the pickle of a PyTorch file before torch reads it.

torch's own restricted unpickler runs nothing either, but hashes and allots what the file asks for (`bytearray(10**12)` is
among what it calls), reads what any library has declared safe for the whole process, and stops at the first class.
"""

import io
import mmap
import re
import struct
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from recognizers.checkpoints.restricted_unpickler import (
    ForbiddenError,
    Foreign,
    Readable,
    RestrictedUnpickler,
    encode,
    ordered_dict,
    set_items,
    why_damaged,
)
from recognizers.checkpoints.wrappers import largest, mappings_of
from recognizers.errors import CheckpointError, shorten, some

_LEGACY_PICKLES = 5  # a number, a version, facts of the system, the content, the keys of its storages
_CONTENT = 3
_WORD = re.compile(r"[\w.-]{1,60}", re.ASCII)


class PickledTensor:
    """Stands in for a tensor."""


class _Plain:
    """Stands in for what stands beside tensors and holds no more than a few numbers: dtypes, devices, sizes."""


class _StorageType:
    """Stands in for the class of a storage: so many bytes for each number."""

    def __init__(self, number_type: str) -> None:
        self.width = torch.empty((), dtype=getattr(torch, number_type)).element_size()


def _tensor(*_: object) -> PickledTensor:
    return PickledTensor()


def _plain(*_: object) -> _Plain:
    return _Plain()


def _counter(counts: Any = None) -> "Counter[Any]":
    counter: Counter[Any] = Counter()
    if counts is not None:
        if type(counts) is not dict:
            raise ForbiddenError("a Counter of something other than a dict")
        set_items(counter, counts.items())
    return counter


_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexDoubleStorage": "complex128",
    "ComplexFloatStorage": "complex64",
}
_REBUILT = (
    "_rebuild_tensor",
    "_rebuild_tensor_v2",
    "_rebuild_tensor_v3",
    "_rebuild_parameter",
    "_rebuild_parameter_with_state",
    # Of these torch makes tensors that are refused as such, if they are the network's.
    "_rebuild_sparse_tensor",
    "_rebuild_meta_tensor_no_storage",
)
_STAND_INS: Mapping[tuple[str, str], Callable[..., Any] | _StorageType | _Plain] = {
    **{("torch", name): _StorageType(number_type) for name, number_type in _STORAGES.items()},
    ("torch.storage", "UntypedStorage"): _StorageType("uint8"),
    **{("torch._utils", name): _tensor for name in _REBUILT},
    **{("torch", name): _Plain() for name, value in vars(torch).items() if isinstance(value, torch.dtype)},
    ("torch", "Size"): _plain,
    ("torch", "device"): _plain,
    ("torch.serialization", "_get_layout"): _plain,
    ("__builtin__", "set"): _plain,
    ("builtins", "set"): _plain,
    ("builtins", "complex"): _plain,
    ("__builtin__", "complex"): _plain,
    ("_codecs", "encode"): encode,
    ("collections", "Counter"): _counter,
    ("collections", "OrderedDict"): ordered_dict,
}


class _TorchUnpickler(RestrictedUnpickler):
    """Knows the few names of which tensors and the mappings around them are made; torch is given no others."""

    def __init__(self, file: Readable, *, size: int) -> None:
        super().__init__(file, size=size)
        self._size = size

    def stand_in(self, module: str, name: str) -> Any:
        return _STAND_INS.get((module, name))

    def build(self, target: Any, state: Any) -> None:
        # Any other attribute would replace one of the dict's own methods.
        if type(target) is not OrderedDict or type(state) is not dict or state.keys() - {"_metadata"}:
            raise ForbiddenError("state for something other than a state dict")

    def persistent_load(self, pid: Any) -> Any:
        if type(pid) is not tuple or len(pid) < 2 or type(pid[0]) is not str:
            raise ForbiddenError("a reference to something other than a tensor's numbers")
        if pid[0] == "module" and isinstance(pid[1], Foreign):  # how files of before 1.6 name a network's class
            return pid[1]
        if pid[0] != "storage" or type(pid[1]) is not _StorageType or len(pid) not in (5, 6) or type(pid[4]) is not int:
            raise ForbiddenError("a reference to something other than a tensor's numbers")
        if not 0 <= pid[4] * pid[1].width <= self._size:
            raise EOFError("more numbers than the file can hold")
        return _Plain()


def check_torch_zip(path: Path) -> None:
    """Walks the pickle of a file as torch saves it since 1.6.

    Raises:
        CheckpointError: it holds Python objects other than tensors, or is damaged.
    """
    with _mapped(path) as file:
        try:
            content = _content_of(path, file)
        except (zipfile.BadZipFile, RuntimeError, ValueError, struct.error) as error:  # RuntimeError: of a later version
            raise CheckpointError(f"the PyTorch file is truncated or damaged: {shorten(str(error))}") from error
        _check(io.BytesIO(content), pickles=1, content_at=0, size=file.size())


def _content_of(path: Path, file: mmap.mmap) -> bytes:
    """The pickle, without its checksum: torch can be told to write none."""
    with zipfile.ZipFile(path) as archive:
        members = {member.filename: member for member in archive.infolist()}
        if len(members) != len(archive.infolist()):
            raise zipfile.BadZipFile("a member stands in it twice")
        if any(member.compress_type != zipfile.ZIP_STORED for member in members.values()):
            raise zipfile.BadZipFile("expected members that are not compressed")
        name = f"{next(iter(members), '').partition('/')[0]}/data.pkl"
        if name not in members:
            raise zipfile.BadZipFile("its data.pkl is missing")
    start = members[name].header_offset
    name_length, extra_length = struct.unpack("<HH", file[start + 26 : start + 30])
    start += 30 + name_length + extra_length
    return file[start : start + members[name].file_size]


def check_torch_legacy(path: Path) -> None:
    """Walks the pickles of a file as torch saved it before 1.6.

    Raises:
        CheckpointError: see `check_torch_zip`.
    """
    with _mapped(path) as file:
        _check(file, pickles=_LEGACY_PICKLES, content_at=_CONTENT, size=file.size())


def _mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _check(file: Readable, *, pickles: int, content_at: int, size: int) -> None:
    contents: list[Any] = []
    foreign: dict[str, None] = {}
    try:
        for _ in range(pickles):
            unpickler = _TorchUnpickler(file, size=size)
            unpickler.foreign = foreign
            contents.append(unpickler.load())
    except ForbiddenError as error:
        raise _refused([str(error)], "") from error
    except Exception as error:  # a damaged pickle can fail in any instruction, with any exception
        if not foreign:
            raise CheckpointError(f"the PyTorch file is truncated or damaged: {why_damaged(error)}") from error
    if foreign:
        raise _refused(list(foreign), _way_out(contents[content_at] if len(contents) > content_at else None))


def _refused(what: Sequence[str], way_out: str) -> CheckpointError:
    return CheckpointError(
        f"the file holds Python objects other than tensors; refused, nothing of it was executed. There is {some(what)} in "
        f"it. Save the network's state_dict() alone: torch.save(network.state_dict(), FILE){way_out}"
    )


def _way_out(content: object) -> str:
    """How to take the weights out of a file whose content, but for tensors and mappings, is `Foreign`."""
    saved = 'torch.load("FILE", map_location="cpu", weights_only=False)'
    mappings = mappings_of(content, PickledTensor)
    if mappings and (where := largest(mappings)):
        taken = saved + "".join(map(_index, where))
    elif mappings:
        taken = f"{{name: value for name, value in {saved}.items() if torch.is_tensor(value)}}"
    elif isinstance(content, Foreign):
        taken = f"{saved}.state_dict()"
    elif isinstance(content, dict) and (keys := [key for key, value in content.items() if isinstance(value, Foreign)]):
        taken = f"{saved}{_index(str(keys[0]))}.state_dict()"
    else:
        return ""
    return f". Where you trust the file (this executes it): python -c 'import torch; torch.save({taken}, \"OUT\")'"


def _index(key: str) -> str:
    """A key in a command that people copy: only a plain word is taken from a file into it."""
    return f'["{key}"]' if _WORD.fullmatch(key) else '["KEY"]'
