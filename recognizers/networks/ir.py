"""IR-50, IR-152 and IR-SE-50: residual networks for faces, as face.evoLVe and InsightFace_Pytorch have them.

Deng et al. 2019 ("ArcFace"), on He et al. 2016 and, for squeeze-and-excitation, Hu et al. 2018. Both projects give the
same names to the same tensors; InsightFace_Pytorch divides the features by their length, which no cosine tells.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from torch import Tensor, nn

from recognizers.networks.aligned import AlignedNetwork
from recognizers.networks.compact.residual import SqueezeExcite
from recognizers.networks.depth_format import DepthFormat

WIDTHS = (64, 128, 256, 512)  # channels of the four stages
FEATURES = 512
LAST_SIDE = 7  # of a stage's last features, 112 halved by each of four stages
REDUCTION = 16  # of squeeze-and-excitation

BLOCKS_50 = (3, 4, 14, 3)
BLOCKS_152 = (3, 8, 36, 3)


class Block(nn.Module):
    """BatchNorm, 3x3, PReLU, 3x3 with the stride, BatchNorm, beside the identity or a 1x1 convolution."""

    def __init__(self, channels_in: int, channels: int, *, stride: int, excites: bool = False) -> None:
        super().__init__()
        self.res_layer = self.residual(channels_in, channels, stride)
        if excites:
            self.res_layer.append(SqueezeExcite(channels, channels // REDUCTION, bias=False))
        self.shortcut_layer: nn.Module
        if channels_in == channels:
            self.shortcut_layer = nn.MaxPool2d(1, stride)
        else:
            projection = nn.Conv2d(channels_in, channels, 1, stride, bias=False)
            self.shortcut_layer = nn.Sequential(projection, nn.BatchNorm2d(channels))

    def residual(self, channels_in: int, channels: int, stride: int) -> nn.Sequential:
        """The steps beside the shortcut, without the excitation."""
        return nn.Sequential(
            nn.BatchNorm2d(channels_in),
            nn.Conv2d(channels_in, channels, 3, padding=1, bias=False),
            nn.PReLU(channels),
            nn.Conv2d(channels, channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        output: Tensor = self.res_layer(features) + self.shortcut_layer(features)
        return output


class IrBackbone(nn.Module):
    """112 x 112 x 3 -> 112 x 112 x 64, halved at the first block of each stage -> 7 x 7 x 512 -> 512 features."""

    block: ClassVar[type[Block]] = Block
    scaled_features: ClassVar[bool] = True  # whether the last BatchNorm has a scale and a shift

    def __init__(self, blocks: Sequence[int], *, excites: bool = False) -> None:
        super().__init__()
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False), nn.BatchNorm2d(WIDTHS[0]), nn.PReLU(WIDTHS[0])
        )
        self.body = nn.Sequential()
        width = WIDTHS[0]
        for channels, number in zip(WIDTHS, blocks, strict=True):
            for place in range(number):
                self.body.append(self.block(width, channels, stride=1 if place else 2, excites=excites))
                width = channels
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.Dropout(),
            nn.Flatten(),
            nn.Linear(width * LAST_SIDE**2, FEATURES),
            nn.BatchNorm1d(FEATURES, affine=self.scaled_features),
        )

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.output_layer(self.body(self.input_layer(images)))
        return features


IR_FORMAT = DepthFormat(
    name="face.evoLVe",
    known_by="body.0.res_layer.3.weight",
    without=("body.0.res_layer.5.weight", "body.0.res_layer.5.fc1.weight"),
    block=r"body\.\d+\.res_layer\.1\.weight",
    blocks=sum(BLOCKS_50),
)


class Ir50(AlignedNetwork):
    """24 blocks (3, 4, 14, 3)."""

    name = "ir50"
    formats = (IR_FORMAT,)

    def __init__(self) -> None:
        super().__init__()
        self.backbone = IrBackbone(BLOCKS_50)


class Ir152(AlignedNetwork):
    """50 blocks (3, 8, 36, 3): the `ir152.pth` of AMT-GAN (Hu et al. 2022) and its successors."""

    name = "ir152"
    formats = (replace(IR_FORMAT, blocks=sum(BLOCKS_152)),)

    def __init__(self) -> None:
        super().__init__()
        self.backbone = IrBackbone(BLOCKS_152)


class IrSe50(AlignedNetwork):
    """24 blocks, each excited: the `irse50.pth` of AMT-GAN and its successors."""

    name = "irse50"
    formats = (replace(IR_FORMAT, name="InsightFace_Pytorch", known_by="body.0.res_layer.5.fc1.weight", without=()),)

    def __init__(self) -> None:
        super().__init__()
        self.backbone = IrBackbone(BLOCKS_50, excites=True)
