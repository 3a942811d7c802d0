"""A small Inception-ResNet v1 (Szegedy et al. 2017): FaceNet's stages at a quarter of the width, with fewer blocks."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from recognizers.networks.network import Network
from recognizers.networks.state_dict_format import StateDictFormat
from recognizers.without_compiler import without_compiler

with without_compiler():
    from facenet_pytorch.models.inception_resnet_v1 import BasicConv2d


class Residual(nn.Module):
    """Adds what its branches see, scaled, to what comes in (Szegedy et al. 2017, section 3.3)."""

    def __init__(self, branches: Sequence[nn.Module], *, inner: int, width: int, scale: float) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.project = nn.Conv2d(inner * len(branches), width, kernel_size=1)
        self.scale = scale

    def forward(self, features: Tensor) -> Tensor:
        seen = torch.cat([branch(features) for branch in self.branches], dim=1)
        return torch.relu(features + self.scale * self.project(seen))


class Reduction(nn.Module):
    """Halves the resolution: its branches and a pool, side by side."""

    def __init__(self, branches: Sequence[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.pool = nn.MaxPool2d(3, stride=2)

    def forward(self, features: Tensor) -> Tensor:
        return torch.cat([*(branch(features) for branch in self.branches), self.pool(features)], dim=1)


class InceptionResNet(nn.Sequential):
    """160 x 160 -> 17 x 17 x 64 -> 8 x 8 x 224 -> 3 x 3 x 448 -> 128 features, normalised by a last BatchNorm."""

    def __init__(self) -> None:
        stem = nn.Sequential(
            BasicConv2d(3, 8, 3, 2),
            BasicConv2d(8, 8, 3, 1),
            BasicConv2d(8, 16, 3, 1, 1),
            nn.MaxPool2d(3, stride=2),
            BasicConv2d(16, 24, 1, 1),
            BasicConv2d(24, 48, 3, 1),
            BasicConv2d(48, 64, 3, 2),
        )
        reduce_17 = Reduction(
            [
                BasicConv2d(64, 96, 3, 2),
                nn.Sequential(BasicConv2d(64, 48, 1, 1), BasicConv2d(48, 48, 3, 1, 1), BasicConv2d(48, 64, 3, 2)),
            ]
        )
        reduce_8 = Reduction(
            [
                nn.Sequential(BasicConv2d(224, 64, 1, 1), BasicConv2d(64, 96, 3, 2)),
                nn.Sequential(BasicConv2d(224, 64, 1, 1), BasicConv2d(64, 64, 3, 2)),
                nn.Sequential(BasicConv2d(224, 64, 1, 1), BasicConv2d(64, 64, 3, 1, 1), BasicConv2d(64, 64, 3, 2)),
            ]
        )
        super().__init__(
            OrderedDict(
                stem=stem,
                blocks_35=nn.Sequential(_block_35()),
                reduce_17=reduce_17,
                blocks_17=nn.Sequential(_block_17()),
                reduce_8=reduce_8,
                blocks_8=nn.Sequential(_block_8()),
                pool=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
                last_linear=nn.Linear(448, 128, bias=False),
                last_bn=nn.BatchNorm1d(128, eps=0.001),
            )
        )


def _block_35() -> Residual:
    return Residual(
        [
            BasicConv2d(64, 16, 1, 1),
            nn.Sequential(BasicConv2d(64, 16, 1, 1), BasicConv2d(16, 16, 3, 1, 1)),
            nn.Sequential(BasicConv2d(64, 16, 1, 1), BasicConv2d(16, 16, 3, 1, 1), BasicConv2d(16, 16, 3, 1, 1)),
        ],
        inner=16,
        width=64,
        scale=0.17,
    )


def _block_17() -> Residual:
    row, column = BasicConv2d(32, 32, (1, 7), 1, (0, 3)), BasicConv2d(32, 32, (7, 1), 1, (3, 0))
    return Residual(
        [BasicConv2d(224, 32, 1, 1), nn.Sequential(BasicConv2d(224, 32, 1, 1), row, column)], inner=32, width=224, scale=0.10
    )


def _block_8() -> Residual:
    row, column = BasicConv2d(48, 48, (1, 3), 1, (0, 1)), BasicConv2d(48, 48, (3, 1), 1, (1, 0))
    return Residual(
        [BasicConv2d(448, 48, 1, 1), nn.Sequential(BasicConv2d(448, 48, 1, 1), row, column)], inner=48, width=448, scale=0.20
    )


class CompactFaceNet(Network):
    """160 x 160 RGB, normalised to about -1..1, as FaceNet."""

    name = "compact-facenet"
    input_size = 160
    feature_size = 128
    head_name = "logits"
    formats = (StateDictFormat(name="compact", known_by="blocks_35.0.project.weight"),)

    def __init__(self) -> None:
        super().__init__()
        self.backbone = InceptionResNet()

    def normalise(self, images: Tensor) -> Tensor:
        return (images - 127.5) / 128.0
