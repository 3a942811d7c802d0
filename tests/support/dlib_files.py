"""Files as dlib serializes a face recognition network, written piece by piece, and the network stated a second time.

Written from dlib's `dnn/core.h`, `dnn/layers.h` and `serialize.h`, apart from the reader.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from recognizers.networks.dlib_resnet import DlibBackbone

BLOCKS = ((32, False), (33, True), (34, True), (35, True))  # 35 x 35, 17 x 17, 8 x 8, then 3 x 3 beside 4 x 4
FEATURES = 5
tiny_backbone = partial(DlibBackbone, BLOCKS, features=FEATURES)


@dataclass(frozen=True)
class Convolution:
    """A convolution and the affine layer that follows it."""

    weight: NDArray[np.float32]  # (filters, channels, rows, columns)
    bias: NDArray[np.float32]
    scale: NDArray[np.float32]
    shift: NDArray[np.float32]


@dataclass(frozen=True)
class TinyNetwork:
    """A block of each kind: as large as its input; half of it, where the convolved and the averaged half agree or do not."""

    convolutions: Sequence[Convolution]
    fc: NDArray[np.float32]  # (inputs, features)

    def features(self, chips: Tensor) -> Tensor:
        """Features of chips (N, 3, 150, 150), levels 0..255, layer by layer."""
        stem, *inner = self.convolutions
        x = (chips - torch.tensor([122.782, 117.001, 104.298], dtype=chips.dtype).view(1, 3, 1, 1)) / 256
        x = functional.max_pool2d(_convolved(stem, x, stride=2, padding=0).relu(), 3, stride=2)
        for (_, halves), first, second in zip(BLOCKS, inner[::2], inner[1::2], strict=True):
            y = _convolved(first, x, stride=2, padding=0) if halves else _convolved(first, x)
            x = _added(_convolved(second, y.relu()), functional.avg_pool2d(x, 2) if halves else x).relu()
        return x.mean((2, 3)) @ torch.from_numpy(self.fc).to(x.dtype)


def tiny_network(seed: int = 0) -> TinyNetwork:
    random = np.random.default_rng(seed)

    def convolution(filters: int, channels: int, side: int) -> Convolution:
        spread = math.sqrt(2 / (channels * side**2))
        weight = random.normal(0, spread, (filters, channels, side, side)).astype(np.float32)
        bias, shift = random.normal(0, 0.2, (2, filters)).astype(np.float32)
        return Convolution(weight, bias, random.uniform(0.5, 1.5, filters).astype(np.float32), shift)

    convolutions, width = [convolution(32, 3, 7)], 32
    for channels, _ in BLOCKS:
        convolutions += [convolution(channels, width, 3), convolution(channels, channels, 3)]
        width = channels
    return TinyNetwork(convolutions, random.normal(0, 0.2, (width, FEATURES)).astype(np.float32))


def _convolved(convolution: Convolution, x: Tensor, *, stride: int = 1, padding: int = 1) -> Tensor:
    weight, bias, scale, shift = (
        torch.from_numpy(each).to(x.dtype)
        for each in (convolution.weight, convolution.bias, convolution.scale, convolution.shift)
    )
    y = functional.conv2d(x, weight, bias, stride=stride, padding=padding)
    return y * scale.view(-1, 1, 1) + shift.view(-1, 1, 1)


def _added(one: Tensor, other: Tensor) -> Tensor:
    """dlib's `add_prev`: as large as the larger in each dimension; what is missing counts as zero."""
    shape = [max(sizes) for sizes in zip(one.shape, other.shape, strict=True)]
    total = one.new_zeros(shape)
    for each in (one, other):
        samples, channels, rows, columns = each.shape
        total[:samples, :channels, :rows, :columns] += each
    return total


def integer(value: int) -> bytes:
    size = max((abs(value).bit_length() + 7) // 8, 1)
    return bytes([size | (0x80 if value < 0 else 0)]) + abs(value).to_bytes(size, "little")


def real(value: float) -> bytes:
    mantissa, exponent = math.frexp(value)
    return integer(int(mantissa * 2**24)) + integer(exponent - 24)


def text(name: str) -> bytes:
    return integer(len(name)) + name.encode()


def tensor(values: NDArray[np.float32], *, shape: Sequence[int]) -> bytes:
    return b"".join(map(integer, (2, *shape))) + values.astype("<f4").tobytes()


def view(*shape: int) -> bytes:
    return b"".join(map(integer, (1, *shape)))


NOTHING = tensor(np.zeros(0, np.float32), shape=(0, 0, 0, 0))
CLEANED = b"000" + 3 * NOTHING
TRAINED = b"000" + 2 * NOTHING + tensor(np.ones(2, np.float32), shape=(2, 1, 1, 1))
LEARNING = real(1.0) + real(1.0) + real(1.0) + real(0.0)


# Versions, from the inside out: 1 of a tag.
STEM, BLOCK, HALVING = [3, 2, 2, 2], [1, *7 * [2]], [1, *5 * [2], 1, 1, *3 * [2]]


def pieces(network: TinyNetwork) -> dict[str, bytes]:
    """What a file of the tiny network consists of, in order; layers are counted from the input, with the tags."""
    written: dict[str, bytes] = {
        "version": integer(1),
        "loss": text("loss_metric_2") + real(0.04) + real(0.6),
        "versions": versions([*STEM, *BLOCK, *HALVING, *HALVING, *HALVING, 2, 2]),
        "input": text("input_rgb_image_sized"),
        "means": real(122.782) + real(117.001) + real(104.298),
        "size": integer(150) + integer(150),
    }
    place = 0

    def layer(name: str, content: bytes, *, training: bytes = CLEANED) -> None:
        nonlocal place
        place += 1
        written[f"{place} name"] = text(name)
        written[f"{place} content"] = content
        written[f"{place} training"] = training + (integer(1) if place == 1 else b"")

    def tags(count: int) -> None:
        nonlocal place
        place += count

    def convolution(number: int, *, stride: int = 1, padding: int = 1) -> None:
        values = network.convolutions[number]
        filters, _, side, _ = values.weight.shape
        parameters = np.concatenate([values.weight.ravel(), values.bias])
        numbers = (filters, side, side, stride, stride, padding, padding)
        layer(
            "con_4",
            tensor(parameters, shape=(parameters.size, 1, 1, 1))
            + b"".join(map(integer, numbers))
            + view(*values.weight.shape)
            + view(1, filters, 1, 1)
            + LEARNING,
        )
        affine = tensor(np.concatenate([values.scale, values.shift]), shape=(2 * filters, 1, 1, 1))
        layer("affine_", affine + 2 * view(1, filters, 1, 1) + integer(0))

    convolution(0, stride=2, padding=0)
    layer("relu_", b"")
    layer("max_pool_2", pool(3, 2))
    for block, (_, halves) in enumerate(BLOCKS):
        tags(1)
        if halves:
            convolution(2 * block + 1, stride=2, padding=0)
        else:
            convolution(2 * block + 1)
        layer("relu_", b"")
        convolution(2 * block + 2)
        if halves:
            tags(2)
            layer("avg_pool_2", pool(2, 2))
        layer("add_prev_", b"")
        layer("relu_", b"")
    layer("avg_pool_2", pool(0, 1))
    inputs, outputs = network.fc.shape
    fc = integer(outputs) + integer(inputs) + tensor(network.fc, shape=(inputs, outputs, 1, 1))
    layer("fc_2", fc + view(inputs, outputs, 1, 1) + view(0, 0, 0, 0) + integer(1) + LEARNING)
    return written


def pool(side: int, stride: int) -> bytes:
    return b"".join(map(integer, (side, side, stride, stride, 0, 0)))


def versions(inside_out: Sequence[int]) -> bytes:
    return b"".join(map(integer, reversed(inside_out)))


def file_of(written: Mapping[str, bytes]) -> bytes:
    return b"".join(written.values())
