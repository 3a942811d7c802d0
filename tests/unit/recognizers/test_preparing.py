"""Prepared networks are the same functions."""

import pytest
import torch
from timm.layers import SEModule
from torch import Tensor, nn
from torch.fx import GraphModule

from protector_service.gradients import input_gradient
from recognizers import embedded
from recognizers.architectures import architectures
from recognizers.frozen_convolution import FrozenConvolution
from recognizers.head import LinearHead
from recognizers.label_set import LabelSet
from recognizers.loading import load_folder
from recognizers.precision import Precision
from recognizers.preparing import fold, prepare
from recognizers.recognizer import NeuralRecognizer
from recognizers.squeeze import excited
from tests.networks import calibrated

CPU = torch.device("cpu")


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


@pytest.mark.parametrize("name", architectures().usable)
def test_logits_and_gradients_stay_and_the_normalisations_go(name: str) -> None:
    recognizer = recognizer_of(name).double()
    before = answers(recognizer, torch.float64)
    fold(recognizer)
    for old, new in zip(before, answers(recognizer, torch.float64), strict=True):
        assert distance(new, old) < 1e-9
    assert not any(isinstance(module, nn.BatchNorm2d) for module in recognizer.network.modules())
    assert not any(parameter.requires_grad for parameter in recognizer.parameters())


@pytest.mark.parametrize("name", architectures().usable)
def test_a_prepared_network_answers_like_the_plain_one(name: str) -> None:
    """Against float64. Gradients jump where a rectifier's input rounds to the other side of zero, in any float32 network."""
    exact_logits, exact_gradient = answers(recognizer_of(name).double(), torch.float64)
    recognizer = recognizer_of(name)
    prepare(recognizer, CPU)
    logits, gradient = answers(recognizer, torch.float32)
    assert distance(logits.double(), exact_logits) < 1e-4
    assert distance(gradient.double(), exact_gradient) < 0.2


@pytest.mark.parametrize("name", architectures().usable)
def test_everything_that_follows_a_convolution_is_taken_over(name: str) -> None:
    recognizer = recognizer_of(name)
    prepare(recognizer, CPU)
    modules = list(recognizer.network.modules())
    assert any(isinstance(module, FrozenConvolution) for module in modules)
    backbone = recognizer.network.backbone.backbone
    assert isinstance(backbone, GraphModule)
    left = {node.name for node in backbone.graph.nodes}
    assert not {name for name in left if name.startswith(("add", "mul"))}


def test_a_processor_without_the_operators_has_the_folded_network(monkeypatch: pytest.MonkeyPatch) -> None:
    exact_logits, _ = answers(recognizer_of("compact-senet").double(), torch.float64)
    monkeypatch.setattr("recognizers.preparing.runs_frozen", lambda dtype: False)
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


@pytest.mark.parametrize("size", [12, 13, 14])
@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("adds", [False, True])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [(1, 1, 0), (1, 2, 0), (3, 1, 1), (3, 2, 1), (3, 2, 0), (3, 1, 0), ((1, 7), 1, (0, 3)), (7, 2, 3), (5, 3, 2), (2, 2, 0)],
)
def test_a_frozen_convolution_is_the_convolution_with_what_follows_it_and_has_its_gradient(
    kernel: int | tuple[int, int], stride: int, padding: int | tuple[int, int], size: int, *, adds: bool, rectified: bool
) -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(5, 7, kernel, stride, padding).requires_grad_(False)
    x = torch.randn(2, 5, size, size + 1).to(memory_format=torch.channels_last).requires_grad_(True)
    unadded = plain(x)
    other = torch.randn_like(unadded)
    dy = torch.randn_like(unadded)
    (dx,) = torch.autograd.grad(unadded, x, dy)
    already = torch.randn_like(dx)
    y = unadded + other if adds else unadded
    y = y.relu() if rectified else y

    frozen = FrozenConvolution(plain, rectified=rectified, x=x.shape, y=y.shape)
    with torch.no_grad():
        assert torch.allclose(frozen(x, other if adds else None), y, rtol=1e-4, atol=1e-5)
        assert torch.allclose(frozen.input_gradient(dy, onto=None), dx, rtol=1e-4, atol=1e-5)
        kept = already.clone()
        assert torch.allclose(frozen.input_gradient(dy, onto=already), dx + already, rtol=1e-4, atol=1e-5)
    assert torch.equal(already, kept), "others may hold it"


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("adds", [False, True])
def test_squeeze_and_excitation_has_the_gradient_that_autograd_finds(*, adds: bool, rectified: bool) -> None:
    torch.manual_seed(0)
    module = SEModule(8, rd_ratio=1 / 4, rd_divisor=1).double().requires_grad_(False)
    x = torch.randn(2, 8, 5, 5, dtype=torch.float64, requires_grad=True)
    other = torch.randn(2, 8, 5, 5, dtype=torch.float64, requires_grad=True)
    inputs = (x, other) if adds else (x,)

    expected = module(x) + other if adds else module(x)
    expected = expected.relu() if rectified else expected
    weights = torch.randn_like(expected)
    wanted = torch.autograd.grad((expected * weights).sum(), inputs)

    first, second = module.fc1, module.fc2
    output = excited(x, first.weight, first.bias, second.weight, second.bias, other if adds else None, rectified)
    gradients = torch.autograd.grad((output * weights).sum(), inputs)
    for ours, theirs in zip((output, *gradients), (expected, *wanted), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("name", ["compact-facenet", "compact-resnet", "compact-senet"])
def test_an_images_gradient_does_not_depend_on_its_place(name: str, precision: Precision) -> None:
    recognizer = load_folder(embedded.FOLDER, torch.device("cpu"), precision=precision).loaded[name].recognizer
    side = recognizer.input_size
    for seed in range(4):
        images = torch.randint(0, 256, (4, 3, side, side), generator=torch.Generator().manual_seed(seed)).float()
        labels = torch.tensor([3, 1, 4, 1])
        gradients = input_gradient(recognizer, images, labels)
        for turn in (1, 2, 3):
            turned = input_gradient(recognizer, images.roll(turn, 0), labels.roll(turn))
            assert torch.equal(turned, gradients.roll(turn, 0))
