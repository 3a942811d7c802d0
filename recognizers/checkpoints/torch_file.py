"""Reads what `torch.save` wrote, after walking its pickle.

torch's own restricted unpickler runs nothing either, but hashes and allots what the file asks for (`bytearray(10**12)` is
among what it calls), reads what any library has declared safe for the whole process, and stops at the first class.
"""

import io
import mmap
import re
import struct
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch

from command_line.memory import memory_advice
from recognizers.checkpoints.nested_state_dicts import largest, state_dicts_in
from recognizers.checkpoints.restricted_unpickler import (
    ForbiddenError,
    Foreign,
    RestrictedUnpickler,
    encode,
    ordered_dict,
    set_items,
)
from recognizers.errors import CheckpointError, shorten, some

_DAMAGED = "the PyTorch file is truncated or damaged"
_LEGACY_PICKLES = 5  # a number, a version, facts of the system, the content, the keys of its storages
_LEGACY_CONTENT = 3
_WORD = re.compile(r"[\w.-]{1,60}", re.ASCII)


class _Plain:
    """Stands in for what stands beside tensors and holds no more than a few numbers: dtypes, devices, sizes."""

    def __init__(self, *_: object) -> None: ...


class _Tensor(_Plain):
    """Stands in for a tensor."""


class _StorageType:
    """Stands in for the class of a storage: so many bytes for each number."""

    def __init__(self, width: int) -> None:
        self.width = width


def _counter(counts: Any = None) -> "Counter[Any]":
    counter: Counter[Any] = Counter()
    if counts is not None:
        if type(counts) is not dict:
            raise ForbiddenError("a Counter of something other than a dict")
        set_items(counter, counts.items())
    return counter


_STORAGES = {
    1: ("Char", "Byte", "Bool"),
    2: ("Half", "BFloat16", "Short"),
    4: ("Float", "Int"),
    8: ("Double", "Long", "ComplexFloat"),
    16: ("ComplexDouble",),
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


class _TorchUnpickler(RestrictedUnpickler):
    """Knows the few names of which tensors and the mappings around them are made; torch is given no others."""

    stand_ins: ClassVar[Mapping[tuple[str, str], Any]] = {
        **{("torch", f"{name}Storage"): _StorageType(width) for width, names in _STORAGES.items() for name in names},
        ("torch.storage", "UntypedStorage"): _StorageType(1),
        **{("torch._utils", name): _Tensor for name in _REBUILT},
        **{("torch", name): _Plain() for name, value in vars(torch).items() if isinstance(value, torch.dtype)},
        ("torch", "Size"): _Plain,
        ("torch", "device"): _Plain,
        ("torch.serialization", "_get_layout"): _Plain,
        **{(module, name): _Plain for module in ("__builtin__", "builtins") for name in ("set", "complex")},
        ("_codecs", "encode"): encode,
        ("collections", "Counter"): _counter,
        ("collections", "OrderedDict"): ordered_dict,
    }

    def persistent_load(self, pid: Any) -> Any:
        if type(pid) is not tuple or len(pid) < 2 or type(pid[0]) is not str:
            raise ForbiddenError("a reference to something other than a tensor's numbers")
        if pid[0] == "module" and isinstance(pid[1], Foreign):  # how files of before 1.6 name a network's class
            return pid[1]
        if pid[0] != "storage" or type(pid[1]) is not _StorageType or len(pid) not in (5, 6) or type(pid[4]) is not int:
            raise ForbiddenError("a reference to something other than a tensor's numbers")
        if not 0 <= pid[4] * pid[1].width <= self.size:
            raise EOFError("more numbers than the file can hold")
        return _Plain()


def read_torch_file(path: Path, *, legacy: bool) -> Any:
    """What `torch.save` wrote, as a zip archive or, before 1.6 (`legacy`), as pickles in a row.

    Raises:
        CheckpointError: it holds Python objects other than tensors, or is damaged.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        try:
            _check(mapped if legacy else io.BytesIO(_pickle_of_zip(path, mapped)), legacy=legacy, size=len(mapped))
            # A file and not its path: given a path, torch goes by the ending.
            return torch.load(file, map_location="cpu", weights_only=True)
        except CheckpointError:
            raise
        except Exception as error:  # zipfile and torch raise RuntimeError, ValueError, EOFError, ... for the same damage
            first_line = (str(error).splitlines() or [type(error).__name__])[0]
            raise CheckpointError(memory_advice(error) or f"{_DAMAGED}: {shorten(first_line)}") from error


def _pickle_of_zip(path: Path, file: mmap.mmap) -> bytes:
    """The pickle, without its checksum: torch can be set to write none."""
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


def _check(file: io.BytesIO | mmap.mmap, *, legacy: bool, size: int) -> None:
    pickles, content_at = (_LEGACY_PICKLES, _LEGACY_CONTENT) if legacy else (1, 0)
    contents, refused = _TorchUnpickler(file, size=size).read_pickles(pickles, damaged=_DAMAGED)
    if refused:
        raise CheckpointError(
            "the file holds Python objects other than tensors; refused, nothing of it was executed. There is "
            f"{some(refused)} in it. Save the network's state_dict() alone: torch.save(network.state_dict(), FILE)"
            f"{_way_out(contents[content_at]) if len(contents) > content_at else ''}"
        )


def _way_out(content: object) -> str:
    """How to take the weights out of a file whose content, but for tensors and mappings, is `Foreign`."""
    saved = 'torch.load("FILE", map_location="cpu", weights_only=False)'
    state_dicts = state_dicts_in(content, _Tensor)
    if state_dicts and (keys := largest(state_dicts)):
        taken = saved + "".join(map(_index, keys))
    elif state_dicts:
        taken = f"{{name: value for name, value in {saved}.items() if torch.is_tensor(value)}}"
    elif isinstance(content, Foreign):
        taken = f"{saved}.state_dict()"
    elif isinstance(content, dict) and (foreign := [key for key, value in content.items() if isinstance(value, Foreign)]):
        taken = f"{saved}{_index(str(foreign[0]))}.state_dict()"
    else:
        return ""
    return f". Where you trust the file (this executes it): python -c 'import torch; torch.save({taken}, \"OUT\")'"


def _index(key: str) -> str:
    """A key in a command that people copy: only a plain word is taken from a file into it."""
    return f'["{key}"]' if _WORD.fullmatch(key) else '["KEY"]'
