"""ONNX files in a folder of checkpoints: who takes them, and who says why not."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from recognizers.checkpoints import embedded
from recognizers.checkpoints.loading import LoadedModels, load_models
from recognizers.errors import CheckpointError
from tests.support.onnx_files import linear_model, needs_onnx, write_onnx

pytestmark = needs_onnx

CPU = torch.device("cpu")


def loaded(folder: Path, **arguments: Any) -> LoadedModels:
    """As an invader with a gallery loads them."""
    return load_models(folder, CPU, **{"embedders": True, "gradients": False, **arguments})


def refusal(folder: Path, **arguments: Any) -> str:
    """Why the only file of a folder is not loaded."""
    with pytest.raises(CheckpointError) as refused:
        loaded(folder, **arguments)
    return str(refused.value).removeprefix(f"{folder}: no usable checkpoint: ")


def test_a_service_that_crafts_refuses_it_and_offers_the_others(tmp_path: Path) -> None:
    path = write_onnx(tmp_path)
    for name in ("compact-facenet.safetensors", "labels.txt"):
        shutil.copy(embedded.FOLDER / name, tmp_path / name)
    refused: list[str] = []
    models = load_models(tmp_path, CPU, on_refused=lambda _, reason: refused.append(reason))
    assert (list(models.recognizers), list(models.embedders)) == (["compact-facenet"], [])
    assert refused == [
        f"{path}: an ONNX network has no gradient, so that it can be no source model: it is for an invader's folder"
    ]


def test_without_a_gallery_it_is_refused(tmp_path: Path) -> None:
    path = write_onnx(tmp_path)
    expected = f"{path}: an ONNX network is an embedding network: it needs a gallery (--gallery)"
    assert refusal(tmp_path, embedders=False) == expected


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_without_the_packages_it_is_refused_with_what_to_install(
    tmp_path: Path, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_onnx(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)  # as an interpreter sees what it has not
    expected = f"{path}: an ONNX file needs {package}, which is not installed: pip install 'face-deid-bench[onnx]'"
    assert refusal(tmp_path) == expected


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    write_onnx(tmp_path, file="a")
    write_onnx(tmp_path, file="b")
    assert refusal(tmp_path) == f"{tmp_path}: two checkpoints of linear: a.onnx and b.onnx; keep one"


def test_an_operator_that_its_opset_does_not_know_is_refused_with_the_reason(tmp_path: Path) -> None:
    model = linear_model()
    model.graph.node[-1].op_type = "Gelu"  # of a later opset
    path = write_onnx(tmp_path, model)
    assert refusal(tmp_path).startswith(f"{path}: its graph is not consistent: No Op registered for Gelu")


def test_answers_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    from onnx import helper

    before = [helper.make_node("Sqrt", ["image"], ["x"])]  # of negative numbers
    path = write_onnx(tmp_path, linear_model(before=before, image="x"))
    expected = "the network linear failed: ValueError: expected 6 finite features of a face, got (1, 6)"
    assert refusal(tmp_path) == f"{path}: {expected}"
