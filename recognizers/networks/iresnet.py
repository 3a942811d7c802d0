"""IResNet-18, 34, 50 and 100: the networks of ArcFace (Deng et al. 2019), as insightface's arcface_torch has them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from recognizers.networks.aligned import AlignedNetwork
from recognizers.networks.depth_format import DepthFormat

WIDTHS = (64, 128, 256, 512)  # channels of the four stages
FEATURES = 512
LAST_SIDE = 7  # of the last features, 112 halved by each of four stages


class Block(nn.Module):
    """BatchNorm, 3x3, BatchNorm, PReLU, 3x3 with the stride, BatchNorm, beside the identity or a 1x1 convolution."""

    def __init__(self, channels_in: int, channels: int, *, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.prelu = nn.PReLU(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.downsample: nn.Module = nn.Identity()
        if stride > 1:
            projection = nn.Conv2d(channels_in, channels, 1, stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(channels))

    def forward(self, features: Tensor) -> Tensor:
        within = self.prelu(self.bn2(self.conv1(self.bn1(features))))
        output: Tensor = self.bn3(self.conv2(within)) + self.downsample(features)
        return output


class IResNetBackbone(nn.Module):
    """112 x 112 x 3 -> 112 x 112 x 64, halved at the first block of each stage -> 7 x 7 x 512 -> 512 features."""

    def __init__(self, blocks: Sequence[int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.prelu = nn.PReLU(WIDTHS[0])
        width = WIDTHS[0]
        for stage, (channels, number) in enumerate(zip(WIDTHS, blocks, strict=True), start=1):
            layer = nn.Sequential()
            for place in range(number):
                layer.append(Block(width, channels, stride=1 if place else 2))
                width = channels
            self.add_module(f"layer{stage}", layer)
        self.bn2 = nn.BatchNorm2d(width)
        self.fc = nn.Linear(width * LAST_SIDE**2, FEATURES)
        self.features = nn.BatchNorm1d(FEATURES)

    def forward(self, images: Tensor) -> Tensor:
        features = self.prelu(self.bn1(self.conv1(images)))
        for stage in range(1, len(WIDTHS) + 1):
            features = self.get_submodule(f"layer{stage}")(features)
        answer: Tensor = self.features(self.fc(torch.flatten(self.bn2(features), 1)))
        return answer


class IResNet(AlignedNetwork):
    """An `IResNetBackbone`; a subclass says how deep."""

    def __init__(self, blocks: Sequence[int]) -> None:
        super().__init__()
        self.backbone = IResNetBackbone(blocks)


BLOCKS_18 = (2, 2, 2, 2)
BLOCKS_34 = (3, 4, 6, 3)
BLOCKS_50 = (3, 4, 14, 3)
BLOCKS_100 = (3, 13, 30, 3)


def _formats(blocks: Sequence[int]) -> tuple[DepthFormat, ...]:
    return (
        DepthFormat(
            name="arcface_torch",
            known_by="layer1.0.prelu.weight",
            block=r"layer\d\.\d+\.prelu\.weight",
            blocks=sum(blocks),
        ),
    )


class IResNet18(IResNet):
    """8 blocks (2, 2, 2, 2)."""

    name = "iresnet18"
    formats = _formats(BLOCKS_18)

    def __init__(self) -> None:
        super().__init__(BLOCKS_18)


class IResNet34(IResNet):
    """16 blocks (3, 4, 6, 3)."""

    name = "iresnet34"
    formats = _formats(BLOCKS_34)

    def __init__(self) -> None:
        super().__init__(BLOCKS_34)


class IResNet50(IResNet):
    """24 blocks (3, 4, 14, 3)."""

    name = "iresnet50"
    formats = _formats(BLOCKS_50)

    def __init__(self) -> None:
        super().__init__(BLOCKS_50)


class IResNet100(IResNet):
    """49 blocks (3, 13, 30, 3)."""

    name = "iresnet100"
    formats = _formats(BLOCKS_100)

    def __init__(self) -> None:
        super().__init__(BLOCKS_100)
