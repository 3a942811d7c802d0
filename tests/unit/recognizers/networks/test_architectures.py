"""The recognizers' networks against a second statement of each, and what attacks need of them."""

from functools import cache
from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn

from recognizers.checkpoints.checkpoint import Checkpoint
from recognizers.checkpoints.loading import build_recognizer
from recognizers.networks.head import LinearHead
from recognizers.networks.label_set import LabelSet
from recognizers.networks.network import Network
from recognizers.networks.recognizer import NeuralRecognizer
from recognizers.networks.registry import architectures
from tests.support.plain_networks import (
    CLASSES,
    PLAIN_NETWORKS,
    library_weights,
    plain_logits,
    random_weights,
    relative_difference,
    sample_images,
)

TOLERANCE = 1e-4  # of the largest logit

every_architecture = pytest.mark.parametrize("architecture", sorted(PLAIN_NETWORKS))


@cache
def recognizer(architecture: str) -> NeuralRecognizer:
    checkpoint = Checkpoint(
        path=Path("checkpoint.pt"),
        sha256="",
        file_format="",
        architecture=architecture,
        classes=CLASSES,
        precision="float32",
        note=None,
        tensors=library_weights(architecture, random_weights(architecture)),
    )
    return build_recognizer(checkpoint, LabelSet(tuple(f"identity_{place}" for place in range(CLASSES))))


def logits(architecture: str, images: Tensor) -> Tensor:
    with torch.no_grad():
        return recognizer(architecture).logits(images)


def test_every_published_architecture_is_stated_twice() -> None:
    """The compact ones are this project's own; their weights and cards hold them fast. dlib's is compared with dlib.

    Those for aligned faces are compared with what their published code answered.
    """
    classifiers = {name for name, network in architectures().usable.items() if network.head_name is not None}
    assert set(PLAIN_NETWORKS) == {name for name in classifiers if not name.startswith("compact-")}


@every_architecture
def test_the_logits_are_those_of_the_plain_network(architecture: str) -> None:
    images = sample_images(architectures().usable[architecture].input_size)
    assert relative_difference(logits(architecture, images), plain_logits(architecture)) < TOLERANCE


@pytest.mark.thorough
@every_architecture
def test_the_comparison_would_see_an_input_mistake(architecture: str) -> None:
    """Neither vanished nor saturated: the logits spread over the classes and follow the image, its mean and its channels."""
    images, reference = sample_images(architectures().usable[architecture].input_size), plain_logits(architecture)
    assert bool((reference.std(dim=1) > 0.1 * reference.abs().max()).all())
    assert relative_difference(reference[0], reference[1]) > 100 * TOLERANCE
    assert relative_difference(logits(architecture, images + 1), reference) > 10 * TOLERANCE
    assert relative_difference(logits(architecture, images.flip(1)), reference) > 100 * TOLERANCE


@pytest.mark.thorough
@every_architecture
def test_the_input_gradient_is_that_of_the_plain_network(architecture: str) -> None:
    """Whose sign is all that an attack sees; the weights get none."""
    images = sample_images(architectures().usable[architecture].input_size)[:1].requires_grad_(True)
    model = recognizer(architecture)
    (ours,) = torch.autograd.grad(model.logits(images)[0, 1], images)
    (reference,) = torch.autograd.grad(PLAIN_NETWORKS[architecture](random_weights(architecture), images)[0, 1], images)
    assert float((reference != 0).float().mean()) > 0.9
    # Rounding may turn a rectifier that stands at zero.
    assert float((ours - reference).norm() / reference.norm()) < 1e-3
    assert not any(weight.requires_grad for weight in model.parameters())
    assert not any(module.training for module in model.modules())


@pytest.mark.thorough
@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_the_libraries_own_resnet50_takes_the_same_weights_and_answers_differently(library: str) -> None:
    """Names and shapes agree, so nothing complains, but theirs is another network than the Caffe ResNet-50.

    It takes the stride of a stage in the 3x3 convolution instead of the first 1x1, and pads the stem's pool instead of
    letting its last window hang over the edge.
    """
    if library == "torchvision":
        network: nn.Module = torchvision.models.resnet50(num_classes=CLASSES)
    else:
        import timm  # only now: it imports all of its networks, and PyTorch's compiler

        network = timm.create_model("resnet50", num_classes=CLASSES)
    weights = random_weights("resnet50")
    missing, unexpected = network.load_state_dict(dict(weights), strict=False)
    assert not unexpected
    assert all(name.endswith(".num_batches_tracked") for name in missing)
    model = recognizer("resnet50")
    assert {name: tensor.shape for name, tensor in network.named_parameters() if not name.startswith("fc.")} == {
        name: tensor.shape for name, tensor in model.network.backbone.named_parameters()
    }
    images = model.network.normalise(sample_images(224))
    with torch.no_grad():
        theirs = network.eval()(images)
    assert relative_difference(theirs, plain_logits("resnet50")) > 100 * TOLERANCE


class TinyNetwork(Network):
    """One linear layer over 2 x 2 images."""

    name = "tiny"
    input_size = 2
    feature_size = 3
    head_name = "head"

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Flatten(), nn.Linear(12, 3), nn.BatchNorm1d(3), nn.Dropout())

    def normalise(self, images: Tensor) -> Tensor:
        return images / 255


def tiny_recognizer() -> NeuralRecognizer:
    torch.manual_seed(0)
    network = TinyNetwork()
    return NeuralRecognizer(network, LinearHead(network.feature_size, LabelSet(("a", "b"))))


@pytest.mark.parametrize(
    ("precision", "expected"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_logits_are_float32_or_wider_whatever_the_networks_precision(precision: torch.dtype, expected: torch.dtype) -> None:
    model = tiny_recognizer()
    model.network.to(precision)
    model.head.to(expected)  # type: ignore[attr-defined]
    answer = model.logits(torch.full((1, 3, 2, 2), 100, dtype=expected))
    assert answer.dtype == expected
    assert answer.shape == (1, 2)


def test_a_recognizer_is_frozen_even_after_its_parts_were_trained() -> None:
    network = TinyNetwork().train()
    model = NeuralRecognizer(network, LinearHead(3, LabelSet(("a", "b"))))
    images = torch.rand(4, 3, 2, 2) * 255
    first, second = model.logits(images), model.logits(images)
    assert torch.equal(first, second), "dropout or moving statistics are at work"
    assert not any(weight.requires_grad for weight in model.parameters())
    assert not first.requires_grad


@every_architecture
def test_a_recognizer_says_what_it_is(architecture: str) -> None:
    model = recognizer(architecture)
    assert model.name == architecture
    assert model.input_size == {"facenet": 160, "resnet50": 224, "senet50": 224}[architecture]
    assert model.label_set.identities == tuple(f"identity_{place}" for place in range(CLASSES))
