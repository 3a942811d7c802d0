"""What people have in place of a checkpoint is named, with the way out."""

import gzip
import io
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from recognizers.checkpoints.file_signatures import name_other_file
from tests.support.checkpoints import refusal_of


def archive_of(members: dict[str, bytes], *, compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, fc=np.zeros(300))
    return buffer.getvalue()


def npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(300))
    return buffer.getvalue()


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("weights.pkl")
        member.size = 5
        archive.addfile(member, io.BytesIO(b"bytes"))
    return buffer.getvalue()


class Doubled(nn.Module):
    """Small enough to be scripted."""

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        return numbers + numbers


def torch_script() -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.trace(Doubled(), torch.zeros(2)), buffer)  # type: ignore[no-untyped-call]
    return buffer.getvalue()


def repeated(content: bytes) -> Callable[[], bytes]:
    return lambda: content


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 111898327\n"
FILES: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "Git LFS": (repeated(POINTER), "Git LFS pointer", "`git lfs pull`"),
    "ONNX": (repeated(b"\x08\x07\x12\x07pytorch\x1a\x052.1.0:" + bytes(200)), "ONNX model", "a name that ends in .onnx"),
    "ONNX without a producer": (
        repeated(b"\x08\x06:\xff\xff\x01" + b"\n\x10" * 99),
        "ONNX model",
        "a name that ends in .onnx",
    ),
    "Keras": (repeated(b"\x89HDF\r\n\x1a\n" + bytes(200)), "HDF5 file (Keras)", "PyTorch weights"),
    "Keras 3": (
        lambda: archive_of({"metadata.json": b"{}", "model.weights.h5": b"\x89HDF"}),
        "Keras model",
        "PyTorch weights",
    ),
    "TensorFlow graph": (
        repeated(b"\n\x1e\n\x05input\x12\x0bPlaceholder" + bytes(200)),
        "TensorFlow graph",
        "PyTorch weights",
    ),
    "SavedModel": (repeated(b"\x08\x01\x12\xcf\x8a\x02\n\xb1\x05\x12" + bytes(200)), "TensorFlow SavedModel", "PyTorch"),
    "TensorFlow Lite": (repeated(b"\x1c\0\0\0TFL3" + bytes(200)), "TensorFlow Lite model", "PyTorch weights"),
    "Core ML": (repeated(b"\x08\x04\x12\x20\n\x0e\n\x05image" + bytes(200)), "Core ML model", "PyTorch weights"),
    "Caffe": (repeated(b"\n\x09ResNet-50\xa2\x06" + bytes(200)), "Caffe model", "PyTorch weights"),
    "prototxt": (repeated(b'name: "ResNet-50"\ninput: "data"\nlayer {\n}\n'), "(.prototxt)", "no weights"),
    "MatConvNet": (repeated(b"MATLAB 5.0 MAT-file, Platform: GLNXA64" + bytes(200)), "MATLAB", "_ft_dag.pth"),
    "MatConvNet, 7.3": (repeated(b"MATLAB 7.3 MAT-file, Platform: GLNXA64" + bytes(600)), "MATLAB", "_ft_dag.pth"),
    "Torch7": (repeated(b"\x04\0\0\0\x01\0\0\0\x03\0\0\0V 1\x0d\0\0\0" + bytes(99)), "Torch7", "PyTorch weights"),
    "MXNet": (repeated(b"\x12\x01" + bytes(99)), "MXNet", "PyTorch weights"),
    "dlib": (repeated(b"\x01\x01\x01\x0aloss_mmod_\x01\x01" + bytes(99)), "dlib model", "face_recognition_resnet_model_v1"),
    "zip": (
        lambda: archive_of({"resnet50_ft_weight.pkl": b"\x80\x02}q\x01."}),
        "zip archive",
        "it holds resnet50_ft_weight.pkl",
    ),
    "zip of a folder": (lambda: archive_of({"weights/a.pkl": b"1", "weights/b.pkl": b"2"}), "zip archive", "weights/b.pkl"),
    "npz": (npz, "NumPy archive (.npz)", "safetensors.numpy.save_file"),
    "npy": (npy, "NumPy array (.npy)", "safetensors"),
    "gzip": (lambda: gzip.compress(b"x" * 100), "gzip archive", "unpack it"),
    "tar": (tar, "tar archive", "unpack it"),
    "xz": (repeated(b"\xfd7zXZ\0" + bytes(99)), "xz archive", "unpack it"),
    "bzip2": (repeated(b"BZh91AY&SY" + bytes(99)), "bzip2 archive", "unpack it"),
    "7-Zip": (repeated(b"7z\xbc\xaf\x27\x1c" + bytes(99)), "7-Zip archive", "unpack it"),
    "RAR": (repeated(b"Rar!\x1a\x07\x01" + bytes(99)), "RAR archive", "unpack it"),
    "TorchScript": (torch_script, "TorchScript archive", "torch.jit.load("),
    "JSON": (repeated(b'{"error": {"code": 403}}'), 'JSON ({"error": {"code": 403}}', "download the file again"),
    "JSON like safetensors": (repeated(b'{"err": {"code": 403, "reason": "quota"}}'), "JSON", "download the file again"),
    "text": (
        repeated(b"Too many users have viewed or downloaded this file recently."),
        "text (Too many",
        "download the file again",
    ),
    "text of another language": (
        repeated("Zu viele Zugriffe für heute".encode()),
        "text (Zu viele",
        "download the file again",
    ),
    "web page": (repeated(b"<!-- saved --><html></html>"), "a web page", "fetch the file itself"),
    "UTF-16": (repeated("some bytes".encode("utf-16")), "UTF-16", "curl"),
    "zeros": (repeated(bytes(9000)), "zeros", "download the file again"),
    "a picture": (repeated(b"\xff\xd8\xff\xe0" + bytes(99)), "a picture", "folder of faces"),
}


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
@pytest.mark.parametrize("file", FILES)
def test_a_file_that_is_no_checkpoint_is_named_with_the_way_out(tmp_path: Path, file: str) -> None:
    content, name, way_out = FILES[file]
    reason = refusal_of(tmp_path / "checkpoint.pth", content())
    assert name in reason
    assert "not a checkpoint" in reason
    assert way_out in reason
    assert len(reason) < 500


@pytest.mark.parametrize(
    "file", [file for file in FILES if file not in ("npz", "zip", "zip of a folder", "Keras 3", "TorchScript")]
)
def test_so_is_the_first_half_of_it(tmp_path: Path, file: str) -> None:
    content, name, _ = FILES[file]
    whole = content()
    reason = refusal_of(tmp_path / "checkpoint.pth", whole[: max(len(whole) // 2, 32)])
    assert name.partition(" (")[0] in reason


@pytest.mark.parametrize("file", ["npz", "zip", "zip of a folder", "Keras 3"])
def test_the_first_half_of_an_archive_is_named_by_its_first_member(tmp_path: Path, file: str) -> None:
    whole = FILES[file][0]()
    reason = refusal_of(tmp_path / "checkpoint.pth", whole[:-20])
    assert reason.startswith("this is a zip archive (of ")
    assert "truncated or damaged" in reason


@pytest.mark.parametrize("content", [b"\x07\x99\xaa\xbb" * 10, bytes(range(200, 256)), b"404"])
def test_what_nobody_knows_is_shown_by_its_beginning(tmp_path: Path, content: bytes) -> None:
    reason = refusal_of(tmp_path / "checkpoint", content)
    assert reason.startswith(
        "not a checkpoint, or a truncated or damaged one: expected a PyTorch file, safetensors or a pickle"
    )
    assert repr(content[:16]) in reason


def test_a_compressed_member_is_not_unpacked(tmp_path: Path) -> None:
    """A thousandth of what it may take in memory."""
    bomb = archive_of({"archive/data.pkl": b"\x80\x02}." + bytes(10_000_000)}, compression=zipfile.ZIP_DEFLATED)
    assert "not compressed" in refusal_of(tmp_path / "checkpoint", bomb)


def test_a_pickle_that_names_what_dlib_names_may_be_a_checkpoint(tmp_path: Path) -> None:
    assert name_other_file(tmp_path, pickle.dumps({"affine_1.weight": 0}, 2)) is None
