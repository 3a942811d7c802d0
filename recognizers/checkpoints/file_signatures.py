"""What people have in place of a checkpoint, told from its first bytes, and what to do about it."""

import codecs
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

from recognizers.errors import shorten, some

_AGAIN = "download the file again"
_UNPACK = "unpack it"
_FETCH = "fetch the network's PyTorch weights"
_REBUILD = f"{_FETCH}, or rebuild it in PyTorch, copy the weights and save its state_dict()"

# (what the file begins with, at which byte, what it is, what to do)
_SIGNATURES: Sequence[tuple[bytes, int, str, str]] = (
    (
        b"version https://git-lfs.github.com/spec/",
        0,
        "a Git LFS pointer in place of the file",
        "run `git lfs pull` in its clone",
    ),
    (b"MATLAB 7.3 MAT-file", 0, "a MATLAB file (MatConvNet)", "use its export to PyTorch, `*_ft_dag.pth`"),
    (b"MATLAB 5.0 MAT-file", 0, "a MATLAB file (MatConvNet)", "use its export to PyTorch, `*_ft_dag.pth`"),
    (b"\x89HDF\r\n\x1a\n", 0, "an HDF5 file (Keras)", _REBUILD),
    (b"TFL3", 4, "a TensorFlow Lite model", _FETCH),
    (b"PTMF", 4, "a PyTorch Mobile model", "save the state_dict() of the network it was made of"),
    (b"V 1", 12, "a Torch7 file (Lua)", _FETCH),
    (b"\x12\x01\0\0\0\0\0\0", 0, "an MXNet parameter file", _FETCH),
    (b"GGUF", 0, "a GGUF file", _FETCH),
    (b"\x93NUMPY", 0, "a single NumPy array (.npy)", "save all of the network's arrays by name, as safetensors"),
    (b"ustar", 257, "a tar archive", _UNPACK),
    (b"\x1f\x8b\x08", 0, "a gzip archive", "unpack it (`gunzip`, or `tar -xzf` if it is a .tar.gz)"),
    (b"\xfd7zXZ\0", 0, "an xz archive", _UNPACK),
    (b"BZh", 0, "a bzip2 archive", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", 0, "a 7-Zip archive", _UNPACK),
    (b"Rar!\x1a\x07", 0, "a RAR archive", _UNPACK),
    (b"\x28\xb5\x2f\xfd", 0, "a Zstandard archive", _UNPACK),
    (b"\x04\x22\x4d\x18", 0, "an LZ4 archive", _UNPACK),
    (b"%PDF-", 0, "a PDF document", "fetch the file itself"),
    (b"\x89PNG\r\n", 0, "a picture", "photos belong into the folder of faces, not of checkpoints"),
    (b"\xff\xd8\xff", 0, "a picture", "photos belong into the folder of faces, not of checkpoints"),
    (
        codecs.BOM_UTF16_LE,
        0,
        "text in UTF-16, or a download that PowerShell's `>` turned into it",
        "download it by `curl -o FILE`",
    ),
    (codecs.BOM_UTF16_BE, 0, "text in UTF-16", _AGAIN),
)
# How a message of protocol buffers begins: a field's number and whether a number or text is in it.
_NUMBER_IN_FIELD_1, _TEXT_IN_FIELD_1, _TEXT_IN_FIELD_2 = 0x08, 0x0A, 0x12
_VERSIONS = 0x20  # ONNX, Core ML and TensorFlow have come to a dozen
_OTHER_FIELDS_OF_ONNX = b"\x1a\x22\x2a\x32\x3a\x42"
_OTHER_FIELDS_OF_CAFFE = (b"\x12", b"\x1a", b"\x22", b"\xa2")
_DLIB = re.compile(rb"loss_(?:metric|mmod|multiclass_log)_|affine_|shape_predictor")
_PROTOTXT = re.compile(rb"^\s*(?:name\s*:\s*[\"\']|layers?\s*\{|input\s*:\s*[\"\'])", re.MULTILINE)
# A pickle in protocol 0 is text as well: it begins with a mark and a dict or list, or with a name in two lines.
_TEXT_PICKLE = re.compile(rb"\((?:d|l|i\w)|c[\w.]+\r?\n|[dl]p\d")
_PICKLE = re.compile(rb"\x80[\x00-\x05]|\x80$|[(cdl}\])]")
_BYTES_SHOWN = 16
_MIN_TEXT = 8  # bytes: what is shorter may be the beginning of anything
_ZIP = b"PK\x03\x04"
_TEXT_SHOWN = 60


def name_other_file(path: Path, start: bytes) -> str | None:
    """What a file is that is no checkpoint, and the way out; None of what may be one.

    Args:
        path: the file.
        start: its first bytes, some thousands if it has so many.
    """
    if not any(start):
        return (
            "this begins with zeros, as a download in pieces does that was broken off: not a checkpoint, or a truncated or "
            f"damaged one; {_AGAIN}"
        )
    if start.startswith(_ZIP):
        return _archive(path, start)
    for signature, at, what, way_out in _SIGNATURES:
        if start[at:].startswith(signature):
            return _named(what, way_out)
    return _protocol_buffer(start) or _text(start) or _unrecognised(start)


def _named(what: str, way_out: str) -> str:
    return f"this is {what}, not a checkpoint: {way_out}"


def _archive(path: Path, start: bytes) -> str | None:
    """Of zip archives, which PyTorch's files are."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
    except (OSError, ValueError, RuntimeError, zipfile.BadZipFile):  # RuntimeError: of a later version of zip
        first = start[30 : 30 + int.from_bytes(start[26:28], "little")]
        if len(start) < 30 or first.endswith(b"/data.pkl"):
            return None  # said by whoever reads it
        return _named(
            f"a zip archive (of {shorten(first.decode(errors='replace'))}, ...) that is truncated or damaged", _AGAIN
        )
    members = {name.partition("/")[2] for name in names}
    if "constants.pkl" in members:
        return _named(
            "a TorchScript archive",
            'save its weights: torch.save(torch.jit.load("FILE", "cpu").state_dict(), "OUT"); this runs it',
        )
    if members & {"archive_format", "serialized_exported_program.json"}:
        return _named("a program exported by torch.export", "save the state_dict() of the network it was made of")
    if "data.pkl" in members:
        return None
    if names and all(name.endswith(".npy") for name in names):
        return _named(
            "a NumPy archive (.npz)",
            'write its arrays as safetensors: safetensors.numpy.save_file(dict(numpy.load("FILE")), "OUT.safetensors")',
        )
    if "model.weights.h5" in names:
        return _named("a Keras model", _REBUILD)
    return _named("a zip archive", f"{_UNPACK}; it holds {some(names) or 'no file'}")


def _protocol_buffer(start: bytes) -> str | None:
    """Of the formats that begin with a field's number and no signature."""
    version = start[1] if start[0] == _NUMBER_IN_FIELD_1 and len(start) > 2 else None
    if version is not None and 0 < version < _VERSIONS:
        inner = _field(start[2:], _TEXT_IN_FIELD_2)
        if inner is not None and inner.startswith(b"\n"):
            return _named("a TensorFlow SavedModel" if version == 1 else "a Core ML model", _REBUILD)
        if inner is not None or start[2] in _OTHER_FIELDS_OF_ONNX:
            return _named("an ONNX model", "ONNX models cannot be used yet; " + _REBUILD)
    outer = _field(start, _TEXT_IN_FIELD_1)
    if outer is None:
        return None
    name = _field(outer, _TEXT_IN_FIELD_1)
    if name is not None and _printable(name):
        return _named("a TensorFlow graph", _REBUILD)
    if _printable(outer) and start[2 + len(outer) : 3 + len(outer)] in _OTHER_FIELDS_OF_CAFFE:
        return _named("a Caffe model", _REBUILD)
    return None


def _field(message: bytes, tag: int) -> bytes | None:
    """What the first field of a message holds, as far as it is there; None if the field is another."""
    if message[:1] != bytes([tag]):
        return None
    length = shift = 0
    for at, byte in enumerate(message[1:6], start=2):
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return message[at : at + length] if length else None
    return None


def _printable(text: bytes) -> bool:
    return bool(re.fullmatch(rb"[\x20-\x7e]+", text))


def _text(start: bytes) -> str | None:
    try:
        # A character may be cut where the first bytes end.
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(start).strip()
    except UnicodeDecodeError:
        return None
    if text.startswith("<"):
        return _named("a web page", "the download saved a page about the file; fetch the file itself")
    if len(text) < _MIN_TEXT or _TEXT_PICKLE.match(start) or re.search(r"[\x00-\x08\x0e-\x1f]", text):
        return None
    if _PROTOTXT.match(start):
        return _named("a Caffe network's description (.prototxt)", f"it has no weights; {_FETCH}")
    kind = "JSON" if text.startswith(("{", "[")) else "text"
    shown = shorten(text[:_TEXT_SHOWN])
    return _named(f"{kind} ({shown}...)", f"a server's message in place of the file, perhaps; {_AGAIN}")


def _unrecognised(start: bytes) -> str | None:
    """Of what begins as no pickle does."""
    if _DLIB.search(start):
        return _named("a dlib model", _FETCH)
    if _PICKLE.match(start):
        return None
    return (
        "not a checkpoint, or a truncated or damaged one: expected a PyTorch file, safetensors or a pickle of numpy arrays, "
        f"got a file that begins with {start[:_BYTES_SHOWN]!r}"
    )
