"""The three networks stated a second time, in plain PyTorch operations over named weights, to check the recognizers against.

Written from the publications: FaceNet's Inception-ResNet v1 from Szegedy et al. 2017, with the scales of David Sandberg's
facenet; the Caffe ResNet-50 from He et al. 2016; squeeze and excitation from Hu et al. 2018; the input of the latter two
from Cao et al. 2018. The weights are named as facenet-pytorch and VGGFace2-pytorch name them.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from math import sqrt
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional

from recognizers.networks.registry import architectures
from tests.support.networks import probe

CLASSES = 5

Weights = Mapping[str, Tensor]
Padding = int | tuple[int, int]


def facenet(weights: Weights, images: Tensor) -> Tensor:
    """Logits of RGB images (N, 3, 160, 160) in levels 0..255."""
    x = (images - 127.5) / 128
    x = _unit(weights, "conv2d_1a", x, stride=2)
    x = _unit(weights, "conv2d_2a", x)
    x = _unit(weights, "conv2d_2b", x, padding=1)
    x = functional.max_pool2d(x, 3, stride=2)
    x = _unit(weights, "conv2d_3b", x)
    x = _unit(weights, "conv2d_4a", x)
    x = _unit(weights, "conv2d_4b", x, stride=2)
    for block in range(5):
        x = functional.relu(x + 0.17 * _inception(weights, f"repeat_1.{block}", x, [[0], [0, 1], [0, 1, 1]]))
    x = torch.cat(
        [
            _unit(weights, "mixed_6a.branch0", x, stride=2),
            _shrinking(weights, "mixed_6a.branch1", x, [0, 1, 0]),
            functional.max_pool2d(x, 3, stride=2),
        ],
        dim=1,
    )
    for block in range(10):
        x = functional.relu(x + 0.10 * _inception(weights, f"repeat_2.{block}", x, [[0], [0, (0, 3), (3, 0)]]))
    x = torch.cat(
        [
            _shrinking(weights, "mixed_7a.branch0", x, [0, 0]),
            _shrinking(weights, "mixed_7a.branch1", x, [0, 0]),
            _shrinking(weights, "mixed_7a.branch2", x, [0, 1, 0]),
            functional.max_pool2d(x, 3, stride=2),
        ],
        dim=1,
    )
    for block in range(5):
        x = functional.relu(x + 0.20 * _inception(weights, f"repeat_3.{block}", x, [[0], [0, (0, 1), (1, 0)]]))
    x = x + _inception(weights, "block8", x, [[0], [0, (0, 1), (1, 0)]])
    embedding = functional.linear(x.mean(dim=(2, 3)), weights["last_linear.weight"])
    return _linear(weights, "logits", _batch_norm(weights, "last_bn", embedding, floor=1e-3))


def resnet50(weights: Weights, images: Tensor) -> Tensor:
    """Logits of RGB images (N, 3, 224, 224) in levels 0..255."""
    return _caffe_resnet(weights, images, excite=lambda _block, x: x)


def senet50(weights: Weights, images: Tensor) -> Tensor:
    """Logits of RGB images (N, 3, 224, 224) in levels 0..255."""

    def excite(block: str, x: Tensor) -> Tensor:
        squeezed = x.mean(dim=(2, 3), keepdim=True)
        hidden = functional.relu(_conv(weights, f"{block}.conv4", squeezed))
        return x * torch.sigmoid(_conv(weights, f"{block}.conv5", hidden))

    return _caffe_resnet(weights, images, excite=excite)


PLAIN_NETWORKS: Mapping[str, Callable[[Weights, Tensor], Tensor]] = MappingProxyType(
    {"facenet": facenet, "resnet50": resnet50, "senet50": senet50}
)


def _caffe_resnet(weights: Weights, images: Tensor, *, excite: Callable[[str, Tensor], Tensor]) -> Tensor:
    mean_blue_green_red = torch.tensor([91.4953, 103.8827, 131.0912]).view(1, 3, 1, 1)
    x = images[:, [2, 1, 0]] - mean_blue_green_red
    x = functional.relu(_normed_conv(weights, "conv1", "bn1", x, stride=2, padding=3))
    x = functional.max_pool2d(x, 3, stride=2, padding=0, ceil_mode=True)
    for stage, blocks in enumerate((3, 4, 6, 3), start=1):
        for number in range(blocks):
            block = f"layer{stage}.{number}"
            stride = 2 if number == 0 and stage > 1 else 1
            change = functional.relu(_normed_conv(weights, f"{block}.conv1", f"{block}.bn1", x, stride=stride))
            change = functional.relu(_normed_conv(weights, f"{block}.conv2", f"{block}.bn2", change, padding=1))
            change = _normed_conv(weights, f"{block}.conv3", f"{block}.bn3", change)
            if number == 0:
                x = _normed_conv(weights, f"{block}.downsample.0", f"{block}.downsample.1", x, stride=stride)
            x = functional.relu(x + excite(block, change))
    return _linear(weights, "fc", functional.avg_pool2d(x, 7).flatten(1))


def _inception(weights: Weights, block: str, x: Tensor, branches: Sequence[Sequence[Padding]]) -> Tensor:
    """The change that an Inception-ResNet block makes: branches of convolutions, given by their paddings, then a 1x1."""
    ends = []
    for branch, paddings in enumerate(branches):
        end = x
        for place, padding in enumerate(paddings):
            name = f"{block}.branch{branch}" + (f".{place}" if len(paddings) > 1 else "")
            end = _unit(weights, name, end, padding=padding)
        ends.append(end)
    return _conv(weights, f"{block}.conv2d", torch.cat(ends, dim=1))


def _shrinking(weights: Weights, branch: str, x: Tensor, paddings: Sequence[Padding]) -> Tensor:
    """A chain of convolutions of which the last halves the resolution."""
    for place, padding in enumerate(paddings):
        x = _unit(weights, f"{branch}.{place}", x, stride=2 if place == len(paddings) - 1 else 1, padding=padding)
    return x


def _unit(weights: Weights, name: str, x: Tensor, *, stride: int = 1, padding: Padding = 0) -> Tensor:
    """FaceNet's convolution, normalised and rectified."""
    x = _conv(weights, f"{name}.conv", x, stride=stride, padding=padding)
    return functional.relu(_batch_norm(weights, f"{name}.bn", x, floor=1e-3))


def _normed_conv(weights: Weights, conv: str, norm: str, x: Tensor, *, stride: int = 1, padding: int = 0) -> Tensor:
    """Caffe's convolution, normalised."""
    return _batch_norm(weights, norm, _conv(weights, conv, x, stride=stride, padding=padding), floor=1e-5)


def _conv(weights: Weights, name: str, x: Tensor, *, stride: int = 1, padding: Padding = 0) -> Tensor:
    return functional.conv2d(x, weights[f"{name}.weight"], weights.get(f"{name}.bias"), stride=stride, padding=padding)


def _batch_norm(weights: Weights, name: str, x: Tensor, *, floor: float) -> Tensor:
    mean, variance, scale, shift = (weights[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return functional.batch_norm(x, mean, variance, scale, shift, training=False, eps=floor)


def _linear(weights: Weights, name: str, x: Tensor) -> Tensor:
    return functional.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])


@cache
def random_weights(architecture: str) -> Weights:
    """Random weights and BatchNorm statistics for a network of `CLASSES` classes, float32; activations keep their size.

    Named as the plain networks name them. Drawn once: treat them as read-only.
    """
    generator = torch.Generator().manual_seed(20)
    return MappingProxyType(
        {name: _draw(name, shape, generator) for name, shape in shapes(architecture, classes=CLASSES).items()}
    )


def _draw(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    if name.endswith(".running_var"):
        return 0.3 + torch.rand(shape, generator=generator)
    if len(shape) == 1 and name.endswith(".weight"):
        # A block adds its change to its input: small changes keep sixteen of them from growing a thousandfold.
        return (0.5 + torch.rand(shape, generator=generator)) * (0.3 if name.endswith("bn3.weight") else 1)
    drawn = torch.randn(shape, generator=generator)
    if len(shape) == 1:
        return 0.2 * drawn
    # The Caffe networks' input is some hundred levels wide, every other layer's about one.
    input_scale = 1 / 64 if name == "conv1.weight" else 1
    return drawn * input_scale * sqrt(2 / drawn[0].numel())


@cache
def shapes(architecture: str, *, classes: int) -> Mapping[str, tuple[int, ...]]:
    """The shapes of a network's weights, by the plain networks' names."""
    with torch.device("meta"):
        network = architectures().usable[architecture]()
    plain = {
        name: tuple(tensor.shape)
        for name, tensor in network.backbone.state_dict().items()
        if not name.endswith(".num_batches_tracked")
    }
    plain |= {f"{network.head_name}.weight": (classes, network.feature_size), f"{network.head_name}.bias": (classes,)}
    if architecture == "senet50":
        return MappingProxyType({_plain_name(name): shape for name, shape in plain.items()})
    return MappingProxyType(plain)


def library_weights(architecture: str, weights: Weights) -> dict[str, Tensor]:
    """Weights under the names of the library that builds the recognizer's network."""
    if architecture != "senet50":
        return dict(weights)
    library_names = {_plain_name(name): name for name in _timm_names()}
    return {library_names[name]: tensor for name, tensor in weights.items()}


def _plain_name(timm_name: str) -> str:
    """VGGFace2-pytorch's name of a tensor of timm's SENet-50."""
    name = timm_name.removeprefix("layer0.").replace("last_linear.", "fc.")
    return re.sub(r"se_module\.fc([12])", lambda match: f"conv{int(match[1]) + 3}", name)


@cache
def _timm_names() -> tuple[str, ...]:
    with torch.device("meta"):
        network = architectures().usable["senet50"]()
    return (*network.backbone.state_dict(), "last_linear.weight", "last_linear.bias")


def sample_images(side: int) -> Tensor:
    """Two random images (2, 3, side, side) in levels 0..255."""
    photos = [torch.from_numpy(probe(side=side, seed=seed).copy()) for seed in (1, 2)]
    return torch.stack(photos).permute(0, 3, 1, 2).float()


@cache
def plain_logits(architecture: str) -> Tensor:
    """What the plain network with the random weights says of the sample images."""
    with torch.no_grad():
        return PLAIN_NETWORKS[architecture](
            random_weights(architecture), sample_images(architectures().usable[architecture].input_size)
        )


def relative_difference(ours: Tensor, reference: Tensor) -> float:
    """The largest difference as a share of the reference's largest value."""
    return float((ours - reference).abs().max() / reference.abs().max())
