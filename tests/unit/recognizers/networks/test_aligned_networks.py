"""The networks for aligned faces against the published code of each, by `golden.json`."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import normalize

from recognizers.networks.adaface import AdaFaceNetwork
from recognizers.networks.aligned import AlignedNetwork
from recognizers.networks.network import Distance
from recognizers.networks.registry import architectures
from tests.support.filled_networks import filled_network, image, tensor_shapes

GOLDEN: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "golden.json").read_text())
SMALL = {"iresnet18", "mobilefacenet"}
OF_THE_SAME_BLOCKS = {"adaface-ir101": "adaface-ir50", "iresnet34": "iresnet50"}  # of which the published code was not asked
TOLERANCE = 1e-4

every_published = pytest.mark.parametrize("architecture", GOLDEN)


def test_every_aligned_network_is_compared_or_made_of_what_is() -> None:
    aligned = {name for name, network in architectures().usable.items() if issubclass(network, AlignedNetwork)}
    assert aligned == GOLDEN.keys() | OF_THE_SAME_BLOCKS.keys()


@every_published
def test_tensors_have_the_published_names_and_shapes(architecture: str) -> None:
    shapes = tensor_shapes(architecture)
    lines = sorted(f"{name} {shape}" for name, shape in shapes.items())
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == GOLDEN[architecture]["tensors_sha256"]
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    parameters = sum(torch.Size(shape).numel() for name, shape in shapes.items() if not name.endswith(statistics))
    assert parameters == GOLDEN[architecture]["parameters"]


@pytest.mark.parametrize(
    "architecture", [name if name in SMALL else pytest.param(name, marks=pytest.mark.thorough) for name in GOLDEN]
)
def test_the_embedding_is_that_of_the_published_code(architecture: str) -> None:
    network = filled_network(architecture)
    with torch.no_grad():
        embedding = normalize(network(image()), dim=1)[0]
    expected = torch.tensor(GOLDEN[architecture]["embedding"], dtype=torch.float64)
    assert embedding.shape == (512,)
    assert float((embedding[: len(expected)] - expected).abs().max()) < TOLERANCE


def test_the_comparison_would_see_channels_in_another_order() -> None:
    network = filled_network("mobilefacenet")
    with torch.no_grad():
        embedding, swapped = normalize(network(torch.cat([image(), image().flip(1)])), dim=1)
    assert float((embedding - swapped)[:64].abs().max()) > 100 * TOLERANCE


@pytest.mark.parametrize(
    ("architecture", "blocks"),
    [
        ("iresnet18", 8),
        ("iresnet34", 16),
        ("iresnet50", 24),
        ("iresnet100", 49),
        ("adaface-ir50", 24),
        ("adaface-ir101", 49),
    ],
)
def test_the_depth_is_the_published_one(architecture: str, blocks: int) -> None:
    convolution = r"layer\d\.\d+\.conv1\.weight|body\.\d+\.res_layer\.1\.weight"
    assert sum(bool(re.fullmatch(convolution, name)) for name in tensor_shapes(architecture)) == blocks


def test_adaface_sees_blue_green_red() -> None:
    with torch.device("meta"):
        network = architectures().usable["adaface-ir50"]()
    assert isinstance(network, AdaFaceNetwork)
    pixel = torch.tensor([0.0, 127.5, 255.0]).view(1, 3, 1, 1)
    assert network.normalise(pixel).flatten().tolist() == [1, 0, -1]


def test_faces_are_compared_by_cosine_at_112_pixels() -> None:
    for name in GOLDEN:
        network = architectures().usable[name]
        assert (network.input_size, network.feature_size, network.head_name) == (112, 512, None)
        assert network.distance is Distance.COSINE
