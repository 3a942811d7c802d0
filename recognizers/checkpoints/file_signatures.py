"""What people have in place of a checkpoint, recognised by its first bytes, and what to do about it."""

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
_DLIB = "of dlib's, dlib_face_recognition_resnet_model_v1.dat can be used"
_EXPORT = "use its export to PyTorch, `*_ft_dag.pth`"
_ONNX = "it can be a target model under a name that ends in .onnx, with a card beside it: docs/extending.md"
_PHOTO = "photos belong into the folder of faces, not of checkpoints"

# (what the file begins with, at which byte, what it is, what to do)
_SIGNATURES: Sequence[tuple[bytes, int, str, str]] = (
    (b"version https://git-lfs.github.com/spec/", 0, "a Git LFS pointer", "run `git lfs pull` in its clone"),
    (b"MATLAB 7.3 MAT-file", 0, "a MATLAB file (MatConvNet)", _EXPORT),
    (b"MATLAB 5.0 MAT-file", 0, "a MATLAB file (MatConvNet)", _EXPORT),
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
    (b"\x89PNG\r\n", 0, "a picture", _PHOTO),
    (b"\xff\xd8\xff", 0, "a picture", _PHOTO),
    (codecs.BOM_UTF16_LE, 0, "text in UTF-16, perhaps a download by PowerShell's `>`", "download it by `curl -o FILE`"),
    (codecs.BOM_UTF16_BE, 0, "text in UTF-16", _AGAIN),
)
# Formats without a signature, of what is neither text nor a pickle. Most are messages of protocol buffers, which begin with
# a field's number and kind (\x08: a number in field 1; \n and \x12: text in fields 1 and 2) and, of text, its length.
_LENGTH = rb"[\x80-\xff]{0,4}[\x01-\x7f]"
_PATTERNS: Sequence[tuple[bytes, str, str]] = (
    (rb"\x08\x01\x12" + _LENGTH + rb"\n", "a TensorFlow SavedModel", _REBUILD),
    (rb"\x08[\x02-\x1f]\x12" + _LENGTH + rb"\n", "a Core ML model", _REBUILD),
    (rb"\x08[\x01-\x1f][\x12\x1a\x22\x2a\x32\x3a\x42]", "an ONNX model", _ONNX),
    (rb"\n" + _LENGTH + rb"\n" + _LENGTH + rb"[\x20-\x7e]", "a TensorFlow graph", _REBUILD),
    (rb"\n" + _LENGTH + rb"[\x20-\x7e]+[\x12\x1a\x22\xa2]", "a Caffe model", _REBUILD),
    (rb"(?s:.*)(loss_(metric|mmod|multiclass_log)_|affine_|shape_predictor)", "a dlib model", _DLIB),
)
_PROTOTXT = re.compile(rb"^\s*(?:name\s*:\s*[\"\']|layers?\s*\{|input\s*:\s*[\"\'])", re.MULTILINE)
# A pickle in protocol 0 is text as well: it begins with a mark and a dict or list, or with a name in two lines.
_TEXT_PICKLE = re.compile(rb"\((?:d|l|i\w)|c[\w.]+\r?\n|[dl]p\d")
_PICKLE = re.compile(rb"\x80[\x00-\x05]|\x80$|[(cdl}\])]")
_BYTES_SHOWN = 16
_MIN_TEXT = 8  # bytes: what is shorter may be the beginning of anything
ZIP = b"PK\x03\x04"
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
    if start.startswith(ZIP):
        return _archive(path, start)
    for signature, at, what, way_out in _SIGNATURES:
        if start[at:].startswith(signature):
            return _named(what, way_out)
    if text := _text(start):
        return text
    if _PICKLE.match(start):
        return None
    for pattern, what, way_out in _PATTERNS:
        if re.match(pattern, start):
            return _named(what, way_out)
    return (
        "not a checkpoint, or a truncated or damaged one: expected a PyTorch file, safetensors or a pickle of numpy arrays, "
        f"got a file that begins with {start[:_BYTES_SHOWN]!r}"
    )


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
            return None  # its reader reports the damage
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
