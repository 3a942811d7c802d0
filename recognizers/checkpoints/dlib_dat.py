"""dlib's serialization of its face recognition network: numbers and names in a row, of which nothing is executed.

A layer is serialized around the one that it takes its input from: its version before it, its contents after it. So a file
holds all versions, outermost first, and then the contents in the order in which an image passes the layers. What should
stand there follows from the network; reading stops at the first thing that is something else.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor, nn

from recognizers.checkpoints.dlib_reader import OTHER_NETWORK, DlibReader
from recognizers.errors import CheckpointError
from recognizers.networks.dlib_resnet import MEAN_RGB, SIDE, DlibBackbone, Residual

START = b"\x01\x01\x01\x0dloss_metric_2"  # version 1, and the name of the loss with its length
FILE = "dlib_face_recognition_resnet_model_v1.dat"
_INPUT, _OTHER, _TAG = 3, 2, 1  # versions: of the layer on the input, of the others, of marks that skips refer to
_EVERYTHING = 0  # a pool's rows and columns where it takes them all


@dataclass(frozen=True)
class Layer:
    """A layer that is expected: its name in the file, its numbers by name, and the shape of its parameters."""

    name: str
    numbers: Sequence[tuple[str, int]] = ()
    parameters: Sequence[int] = ()  # their shape

    @property
    def is_tag(self) -> bool:
        return not self.name


TAG = Layer("")


def read_dlib_network(path: Path, build: Callable[[], DlibBackbone] = DlibBackbone) -> dict[str, Tensor]:
    """The weights of dlib's face recognition network, by our module's names; affine layers are folded.

    Args:
        path: the file.
        build: makes the module that the weights are for; by default the published network's.

    Raises:
        CheckpointError: the file holds another network, or is truncated.
    """
    with torch.device("meta"):
        backbone = build()
    with path.open("rb") as file:
        return _folded(backbone, read_parameters(file, list(layers_of(backbone))))


def layers_of(backbone: DlibBackbone) -> Iterator[Layer]:
    """dlib's layers in the order in which an image passes them."""
    yield from _convolution(backbone.conv)
    yield Layer("relu_")
    yield _pool("max_pool_2", 3, stride=2)
    for block in backbone.residuals:
        assert isinstance(block, Residual)
        yield TAG
        yield from _convolution(block.conv1)
        yield Layer("relu_")
        yield from _convolution(block.conv2)
        if block.halves:
            yield from (TAG, TAG, _pool("avg_pool_2", 2, stride=2))
        yield from (Layer("add_prev_"), Layer("relu_"))
    yield _pool("avg_pool_2", _EVERYTHING, stride=1)
    outputs, inputs = backbone.fc.weight.shape
    yield Layer("fc_2", (("outputs", outputs), ("inputs", inputs)), (inputs, outputs, 1, 1))


def _convolution(convolution: nn.Conv2d) -> Iterator[Layer]:
    filters = convolution.out_channels
    stride, padding = convolution.stride, convolution.padding
    assert isinstance(padding, tuple)
    numbers = (("filters", filters), *_window(convolution.kernel_size, stride, padding))
    yield Layer("con_4", numbers, (convolution.weight.numel() + filters, 1, 1, 1))
    yield Layer("affine_", (), (2 * filters, 1, 1, 1))


def _pool(name: str, side: int, *, stride: int) -> Layer:
    return Layer(name, _window((side, side), (stride, stride), (0, 0)))


def _window(size: Sequence[int], stride: Sequence[int], padding: Sequence[int]) -> tuple[tuple[str, int], ...]:
    sides = {"rows": size[0], "columns": size[1]}
    steps = {"vertical stride": stride[0], "horizontal stride": stride[1]}
    edges = {"vertical padding": padding[0], "horizontal padding": padding[1]}
    return tuple((sides | steps | edges).items())


def read_parameters(file: BinaryIO, layers: Sequence[Layer]) -> list[Tensor]:
    """The parameters of the layers that have some, in their shapes in the file, of a file that holds these layers.

    Raises:
        CheckpointError: it holds others, or is truncated or longer.
    """
    reader = DlibReader(file)
    reader.within = "its beginning"
    reader.expect("version", 1)
    reader.expect_text("loss", "loss_metric_2")
    reader.skip_reals(2)  # margin and radius
    _check_versions(reader, layers)
    reader.expect_text("input", "input_rgb_image_sized")
    for channel, mean in zip(("red", "green", "blue"), MEAN_RGB, strict=True):
        reader.expect_real(f"mean of {channel}", mean)
    reader.expect("rows of the input", SIDE)
    reader.expect("columns of the input", SIDE)
    parameters = []
    for place, layer in enumerate(layers, start=1):
        if not layer.is_tag:
            reader.within = f"layer {place} of {len(layers)} ({layer.name})"
            parameters.append(_contents(reader, layer))
            _check_cleaned(reader)
            if place == 1:
                reader.integer()  # of images from one
    reader.expect_end()
    return [each for each in parameters if each is not None]


def _check_versions(reader: DlibReader, layers: Sequence[Layer]) -> None:
    """That as many layers are nested as expected, with tags where they are expected."""
    first, *others = layers
    expected = [_TAG if layer.is_tag else _OTHER for layer in reversed(others)] + [_INPUT]
    assert not first.is_tag
    got: list[int] = []
    while _INPUT not in got and len(got) < 2 * len(expected):
        got.append(reader.integer())
    if len(got) != len(expected):
        count = str(len(got)) if _INPUT in got else f"more than {len(got) - 1}"
        raise CheckpointError(f"expected the {len(expected)} layers of {FILE}, got {count}: {OTHER_NETWORK}")
    for place, pair in zip(range(len(layers), 0, -1), zip(expected, got, strict=True), strict=True):
        if pair[0] != pair[1]:
            raise CheckpointError(
                f"layer {place} of {len(layers)}: expected {layers[place - 1].name or 'a tag'} of version {pair[0]}, got "
                f"version {pair[1]}: {OTHER_NETWORK}"
            )


def _contents(reader: DlibReader, layer: Layer) -> Tensor | None:
    """A layer's own: its parameters, if it has any. Views into them, and how fast they learn, are passed over."""
    reader.expect_text("a layer", layer.name)
    match layer.name:
        case "con_4":
            parameters = reader.tensor(layer.parameters)
            reader.expect_numbers(layer.numbers)
            reader.skip_shapes(2)
            reader.skip_reals(4)
        case "affine_":
            parameters = reader.tensor(layer.parameters)
            reader.skip_shapes(2)
            reader.expect("mode (0: after a convolution)", 0)
        case "fc_2":
            reader.expect_numbers(layer.numbers)
            parameters = reader.tensor(layer.parameters)
            reader.skip_shapes(2)
            reader.expect("mode (1: without biases)", 1)
            reader.skip_reals(4)
        case _:
            reader.expect_numbers(layer.numbers)
            return None
    return parameters


def _check_cleaned(reader: DlibReader) -> None:
    """What follows a layer's own: three flags and three tensors of its training, none of which a cleaned network has."""
    reader.take(3)
    for _ in range(3):
        if (shape := reader.shape()) != (0, 0, 0, 0):
            raise CheckpointError(
                f"{reader.within}: expected a network without what training left in it, got a tensor {shape}; "
                "call dlib's clean() before serialize()"
            )


def _folded(backbone: DlibBackbone, parameters: Sequence[Tensor]) -> dict[str, Tensor]:
    """By our names: each affine layer's scale and shift go into the convolution before it, in float64."""
    *convolutions, fc = parameters
    modules = [(name, module) for name, module in backbone.named_modules() if isinstance(module, nn.Conv2d)]
    tensors = {}
    for (name, module), values, affine in zip(modules, convolutions[::2], convolutions[1::2], strict=True):
        filters = module.out_channels
        weight, bias = values.flatten().double().tensor_split([-filters])
        scale, shift = affine.flatten().double().tensor_split(2)
        tensors[f"{name}.weight"] = (weight.view(module.weight.shape) * scale.view(-1, 1, 1, 1)).float()
        tensors[f"{name}.bias"] = (bias * scale + shift).float()
    tensors["fc.weight"] = fc.flatten(1).T.contiguous()
    return tensors
