"""The compact networks and the embedded recognizers."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from recognizers.checkpoints.embedded import FOLDER, IDENTITIES
from recognizers.checkpoints.loading import load_folder, load_recognizer
from recognizers.checkpoints.model_card import card_path
from recognizers.errors import CheckpointError
from recognizers.networks.compact import CompactFaceNet, CompactResNet, CompactSENet
from recognizers.networks.network import Network
from recognizers.networks.registry import architectures
from synthetic_faces import Population

MAX_BYTES = 2_500_000
COMPACT = (CompactFaceNet, CompactResNet, CompactSENet)
EMBEDDED = [network.name for network in COMPACT]


@pytest.mark.parametrize("architecture", COMPACT)
def test_a_compact_network_has_its_family_s_input(architecture: type[Network]) -> None:
    network = architecture().eval()
    side = {"compact-facenet": 160}.get(architecture.name, 224)
    assert network.input_size == side
    with torch.no_grad():
        assert network(torch.zeros(2, 3, side, side)).shape == (2, architecture.feature_size)


def test_the_residual_networks_stride_in_the_first_convolution_of_a_stage() -> None:
    strides = [
        (name.split(".")[0], module.kernel_size[0], module.stride[0])
        for name, module in CompactResNet().backbone.named_modules()
        if isinstance(module, nn.Conv2d) and module.stride[0] > 1
    ]
    # Each stage's first 1x1 and the way around it; the stem.
    assert strides == [("stem", 7, 2), *((f"stage{stage}", 1, 2) for stage in (2, 3, 4) for _ in range(2))]


def test_only_the_senet_squeezes() -> None:
    names = {network: set(network().backbone.state_dict()) for network in (CompactResNet, CompactSENet)}
    assert names[CompactResNet] < names[CompactSENet]
    assert all(".excite." in name for name in names[CompactSENet] - names[CompactResNet])


def test_the_embedded_folder_holds_the_three_and_all_of_it_is_used() -> None:
    folder = load_folder(None, torch.device("cpu"), on_refused=lambda _, reason: pytest.fail(reason))
    assert sorted(folder) == sorted(EMBEDDED)
    for loaded in folder.values():
        assert loaded.recognizer.label_set.identities == Population(IDENTITIES).names


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_weights_are_small_and_their_card_is_theirs(name: str) -> None:
    weights = FOLDER / f"{name}.safetensors"
    card = json.loads(card_path(weights).read_text())
    assert weights.stat().st_size <= MAX_BYTES
    assert card["architecture"] == name
    assert card["sha256"] == load_recognizer(weights).checkpoint_sha256
    assert card["classes"] == IDENTITIES
    assert card["training_seconds"] <= 40 * 60
    assert all(found["top_1_percent"] >= 97 for found in card["held_out"].values())
    assert architectures().usable[name].input_size in (160, 224)


def test_the_three_were_trained_from_different_seeds() -> None:
    seeds = {json.loads(card_path(FOLDER / f"{name}.safetensors").read_text())["seed"] for name in EMBEDDED}
    assert len(seeds) == 3


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    for file in FOLDER.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def test_weights_that_are_not_the_card_s_are_refused_and_named(copied: Path) -> None:
    weights = copied / "compact-resnet.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.write_bytes(changed)
    with pytest.raises(
        CheckpointError, match=r"compact-resnet\.safetensors: is not the file that .* expected sha256 .* got "
    ):
        load_recognizer(weights)
    refused: list[str] = []
    folder = load_folder(copied, torch.device("cpu"), on_refused=lambda _, reason: refused.append(reason))
    assert sorted(folder) == ["compact-facenet", "compact-senet"]
    assert len(refused) == 1
    assert str(weights) in refused[0]


@pytest.mark.parametrize("content", ["", "[]", "{}", "not JSON", '{"sha256": 1}'])
def test_a_card_that_says_nothing_is_refused(copied: Path, content: str) -> None:
    card_path(copied / "compact-senet.safetensors").write_text(content)
    with pytest.raises(CheckpointError, match="compact-senet"):
        load_recognizer(copied / "compact-senet.safetensors")


def test_weights_without_a_card_are_the_user_s_own(copied: Path) -> None:
    card_path(copied / "compact-senet.safetensors").unlink()
    assert load_recognizer(copied / "compact-senet.safetensors").recognizer.name == "compact-senet"
