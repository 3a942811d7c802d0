"""Prepared networks are the same functions."""

from copy import deepcopy
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from protector_service.batched_model import input_gradient
from recognizers.checkpoints.loading import load_folder
from recognizers.inference.frozen_convolution import FrozenConvolution
from recognizers.inference.fused_layer import FusedLayer
from recognizers.inference.preparing import fold, prepare
from recognizers.networks.head import LinearHead
from recognizers.networks.label_set import LabelSet
from recognizers.networks.recognizer import NeuralRecognizer
from recognizers.networks.registry import architectures
from recognizers.precision import Precision
from tests.support.networks import calibrated

CPU = torch.device("cpu")
# Of the networks for aligned faces, the ones with nothing that a smaller one does not have: they would take minutes.
LARGE = {"adaface-ir101", "ir50", "ir152", "iresnet34", "iresnet50", "iresnet100"}


def recognizer_of(name: str) -> NeuralRecognizer:
    network = calibrated(architectures().usable[name], seed=4)
    torch.manual_seed(5)
    return NeuralRecognizer(network, LinearHead(network.feature_size, LabelSet(("a", "b", "c"))))


def answers(recognizer: NeuralRecognizer, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    side = recognizer.input_size
    images = torch.randint(0, 256, (2, 3, side, side), generator=torch.Generator().manual_seed(1)).to(dtype)
    seen = images.requires_grad_(True)
    logits = recognizer.logits(seen)
    (gradient,) = torch.autograd.grad(logits[:, 0].sum(), seen)
    return logits.detach(), gradient


def distance(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / other.norm())


@dataclass(frozen=True)
class Case:
    """A network as it was built and as it is prepared, neither to be changed, and what it answers in float64."""

    plain: NeuralRecognizer
    prepared: NeuralRecognizer
    exact_logits: Tensor
    exact_gradient: Tensor


@pytest.fixture(
    scope="module",
    params=[name for name in architectures().usable if name not in LARGE],
)
def case(request: pytest.FixtureRequest) -> Case:
    plain = recognizer_of(request.param)
    prepared = deepcopy(plain)
    prepare(prepared, CPU)
    return Case(plain, prepared, *answers(deepcopy(plain).double(), torch.float64))


def test_logits_and_gradients_stay_and_the_normalisations_go(case: Case) -> None:
    recognizer = deepcopy(case.plain).double()
    fold(recognizer)
    logits, gradient = answers(recognizer, torch.float64)
    assert distance(logits, case.exact_logits) < 1e-9
    assert distance(gradient, case.exact_gradient) < 1e-9
    assert not any(isinstance(module, nn.BatchNorm2d) for module in recognizer.network.modules())
    assert not any(parameter.requires_grad for parameter in recognizer.parameters())


def test_a_prepared_network_answers_like_the_plain_one(case: Case) -> None:
    """Against float64. Gradients jump where a rectifier's input rounds to the other side of zero, in any float32 network."""
    logits, gradient = answers(case.prepared, torch.float32)
    assert distance(logits.double(), case.exact_logits) < 1e-4
    assert distance(gradient.double(), case.exact_gradient) < 0.2


def test_everything_that_follows_a_convolution_is_taken_over(case: Case) -> None:
    modules = list(case.prepared.network.modules())
    assert any(isinstance(module, FrozenConvolution) for module in modules)
    backbone = case.prepared.network.backbone.backbone
    assert isinstance(backbone, GraphModule)
    layers = {name for name, module in backbone.named_modules() if isinstance(module, FusedLayer)}
    left = [node for node in backbone.graph.nodes if node.name.startswith(("add", "mul"))]
    assert not {node.name for node in left if layers & {source.target for source in node.all_input_nodes}}


def test_a_processor_without_the_operators_has_the_folded_network(monkeypatch: pytest.MonkeyPatch) -> None:
    exact_logits, _ = answers(recognizer_of("compact-senet").double(), torch.float64)
    monkeypatch.setattr("recognizers.inference.preparing.runs_frozen", lambda dtype: False)
    recognizer = recognizer_of("compact-senet")
    prepare(recognizer, CPU)
    assert not any(isinstance(module, FrozenConvolution) for module in recognizer.network.modules())
    logits, _ = answers(recognizer, torch.float32)
    assert distance(logits.double(), exact_logits) < 1e-4


def test_bfloat16_is_near_and_logits_stay_float32() -> None:
    recognizer = recognizer_of("compact-facenet")
    exact_logits, _ = answers(recognizer, torch.float32)
    prepare(recognizer, CPU, precision=Precision.BFLOAT16)
    logits, gradient = answers(recognizer, torch.float32)
    assert logits.dtype == gradient.dtype == torch.float32
    assert distance(logits, exact_logits) < 0.1


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("name", ["compact-facenet", "compact-resnet", "compact-senet"])
def test_an_images_gradient_does_not_depend_on_its_place(name: str, precision: Precision) -> None:
    check_places(load_folder(None, CPU, precision=precision)[name].recognizer)


@pytest.mark.parametrize("precision", Precision)
def test_nor_does_it_where_zeros_follow_a_residual(precision: Precision) -> None:
    recognizer = recognizer_of("dlib")
    prepare(recognizer, CPU, precision=precision)
    check_places(recognizer)


def check_places(recognizer: NeuralRecognizer) -> None:
    side = recognizer.input_size
    for seed in range(4):
        images = torch.randint(0, 256, (4, 3, side, side), generator=torch.Generator().manual_seed(seed)).float()
        labels = torch.tensor([2, 1, 0, 1])
        gradients = input_gradient(recognizer, images, labels)
        for turn in (1, 2, 3):
            turned = input_gradient(recognizer, images.roll(turn, 0), labels.roll(turn))
            assert torch.equal(turned, gradients.roll(turn, 0))
