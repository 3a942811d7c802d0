"""Checkpoints of the networks for aligned faces: told by their content, and what is wrong with others named."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from recognizers.checkpoints.checkpoint import read_checkpoint
from recognizers.checkpoints.loading import build_network
from recognizers.networks.aligned import AlignedNetwork
from recognizers.networks.registry import architectures
from tests.support.checkpoints import refusal_of, torch_zip
from tests.support.filled_networks import filled_network, hollow, image, tensor_shapes, write_filled

ALIGNED = sorted(name for name, network in architectures().usable.items() if issubclass(network, AlignedNetwork))

every_architecture = pytest.mark.parametrize("architecture", ALIGNED)


@every_architecture
def test_a_state_dict_is_told_by_its_tensors_whatever_its_name(architecture: str, tmp_path: Path) -> None:
    path = tmp_path / "backbone.pth"
    path.write_bytes(torch_zip(hollow(architecture)))
    checkpoint = read_checkpoint(path)
    assert checkpoint.architecture == architecture
    assert checkpoint.classes is None
    assert {name: tuple(tensor.shape) for name, tensor in checkpoint.tensors.items()} == {
        name: shape for name, shape in tensor_shapes(architecture).items() if not name.endswith("num_batches_tracked")
    }


@every_architecture
def test_a_state_dict_of_a_parallel_model_is_the_same(architecture: str, tmp_path: Path) -> None:
    path = tmp_path / "backbone.pth"
    path.write_bytes(torch_zip({f"module.{name}": tensor for name, tensor in hollow(architecture).items()}))
    assert read_checkpoint(path).architecture == architecture


@pytest.mark.parametrize("architecture", ["adaface-ir50", "adaface-ir101"])
def test_adafaces_own_checkpoint_has_its_classifier_beside_the_network(architecture: str, tmp_path: Path) -> None:
    path = tmp_path / "adaface.ckpt"
    network = {f"model.{name}": tensor for name, tensor in hollow(architecture).items()}
    training = {"head.kernel": torch.zeros(512, 7), "head.t": torch.zeros(1), "head.batch_mean": torch.ones(1)}
    torch.save({"epoch": 3, "state_dict": network | training}, path)
    checkpoint = read_checkpoint(path)
    assert checkpoint.architecture == architecture
    assert checkpoint.file_format == "PyTorch file, AdaFace checkpoint names"
    assert checkpoint.tensors.keys() == hollow(architecture).keys()


@pytest.mark.parametrize("architecture", ["mobilefacenet"])
def test_the_network_that_is_built_answers_with_the_files_weights(architecture: str, tmp_path: Path) -> None:
    network = build_network(read_checkpoint(write_filled(architecture, tmp_path / "mobile_face.pth")))
    with torch.no_grad():
        answer = network(image().float())
        expected = filled_network(architecture, dtype=torch.float32)(image().float())
    assert torch.equal(answer, expected)


def without_blocks(architecture: str, block: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in hollow(architecture).items() if not name.startswith(block)}


def test_a_depth_that_no_network_has_is_named_beside_those_that_they_have(tmp_path: Path) -> None:
    said = refusal_of(tmp_path / "ir100.pth", torch_zip(without_blocks("ir152", "body.49.")))
    assert said.startswith("wrong architecture: expected one of ")
    assert "; it is like ir50, but has 49 blocks, where that has 24" in said
    assert "; it is like ir152, but has 49 blocks, where that has 50" in said
    assert "adaface" not in said.partition("tensors named")[2]


def test_a_deeper_network_under_a_shallower_ones_name_is_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ir50.pth"
    path.write_bytes(torch_zip(hollow("ir152")))
    assert read_checkpoint(path).architecture == "ir152"


@pytest.mark.parametrize(
    ("architecture", "name", "shape", "expected"),
    [
        (
            "ir50",
            "output_layer.3.weight",
            (512, 100352),
            "has the shape (512, 100352), expected (512, 25088)",
        ),
        ("mobilefacenet", "linear.weight", (136, 512), "has the shape (136, 512), expected (512, 512)"),
        ("iresnet50", "fc.weight", (256, 25088), "has the shape (256, 25088), expected (512, 25088)"),
    ],
)
def test_another_input_or_feature_size_is_named(
    tmp_path: Path, architecture: str, name: str, shape: tuple[int, ...], expected: str
) -> None:
    weights = hollow(architecture) | {name: torch.zeros(()).expand(shape)}
    said = refusal_of(tmp_path / "backbone.pth", torch_zip(weights))
    assert said.startswith(f"looks like {architecture} (")
    assert f"{name} {expected}" in said


@pytest.mark.parametrize(
    ("architecture", "name"),
    [("ir50", "body.3.shortcut_layer.0.weight"), ("irse50", "body.7.res_layer.5.fc2.weight"), ("iresnet18", "bn2.bias")],
)
def test_a_missing_tensor_is_named(tmp_path: Path, architecture: str, name: str) -> None:
    said = refusal_of(tmp_path / "backbone.pth", torch_zip(without_blocks(architecture, name)))
    assert said.startswith(f"looks like {architecture} (")
    assert f"1 missing ({name})" in said
