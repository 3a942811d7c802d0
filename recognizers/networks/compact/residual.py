"""Small residual networks as Caffe has them (He et al. 2016; Hu et al. 2018): the stride sits in a stage's first 1x1."""

from collections import OrderedDict
from typing import ClassVar

from torch import Tensor, nn

from recognizers.networks.caffe import CaffeNetwork
from recognizers.networks.state_dict_format import StateDictFormat

STEM = 16
INNER = (8, 24, 48, 96)  # width of the 3x3 convolution in each stage, of one block; its output is four times as wide
EXPANSION = 4
EXCITATION = "stage1.0.excite.fc1.weight"  # what the SENet has beside the ResNet's names


class SqueezeExcite(nn.Module):
    """Hu et al. 2018, Eqs. 2 to 4, with the names that timm gives its parameters."""

    def __init__(self, width: int, inner: int, *, bias: bool = True) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(width, inner, 1, bias=bias), nn.Conv2d(inner, width, 1, bias=bias)

    def forward(self, features: Tensor) -> Tensor:
        squeezed = features.mean((2, 3), keepdim=True)
        output: Tensor = features * self.fc2(self.fc1(squeezed).relu()).sigmoid()
        return output


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1, with the way around; the squeeze-and-excitation module sits before the sum."""

    def __init__(self, width: int, inner: int, *, stride: int, squeeze: bool) -> None:
        super().__init__()
        out = inner * EXPANSION
        self.convolutions = nn.Sequential(
            *_convolution(width, inner, 1, stride=stride),
            nn.ReLU(inplace=True),
            *_convolution(inner, inner, 3),
            nn.ReLU(inplace=True),
            *_convolution(inner, out, 1),
        )
        self.excite = SqueezeExcite(out, out // 16) if squeeze else nn.Identity()
        changes = stride > 1 or width != out
        self.around = nn.Sequential(*_convolution(width, out, 1, stride=stride)) if changes else nn.Identity()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, features: Tensor) -> Tensor:
        output: Tensor = self.relu(self.excite(self.convolutions(features)) + self.around(features))
        return output


class ResidualNetwork(nn.Sequential):
    """224 x 224 -> 56 x 56 x 32 -> 28 x 28 x 96 -> 14 x 14 x 192 -> 7 x 7 x 384 features, averaged."""

    def __init__(self, *, squeeze: bool) -> None:
        pool = nn.MaxPool2d(3, stride=2, padding=0, ceil_mode=True)
        layers = OrderedDict[str, nn.Module](
            stem=nn.Sequential(*_convolution(3, STEM, 7, stride=2), nn.ReLU(inplace=True), pool)
        )
        width = STEM
        for stage, inner in enumerate(INNER, start=1):
            layers[f"stage{stage}"] = nn.Sequential(Bottleneck(width, inner, stride=1 if stage == 1 else 2, squeeze=squeeze))
            width = inner * EXPANSION
        layers["pool"], layers["flatten"] = nn.AdaptiveAvgPool2d(1), nn.Flatten()
        super().__init__(layers)


def _convolution(width: int, out: int, kernel: int, *, stride: int = 1) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    return nn.Conv2d(width, out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(out)


class CompactResNet(CaffeNetwork):
    """A small Caffe ResNet."""

    squeeze: ClassVar[bool] = False
    name = "compact-resnet"
    feature_size = INNER[-1] * EXPANSION
    head_name = "classifier"
    formats = (StateDictFormat(name="compact", known_by="stage1.0.convolutions.0.weight", without=(EXCITATION,)),)

    def __init__(self) -> None:
        super().__init__()
        self.backbone = ResidualNetwork(squeeze=self.squeeze)


class CompactSENet(CompactResNet):
    """A small Caffe SE-ResNet."""

    squeeze = True
    name = "compact-senet"
    formats = (StateDictFormat(name="compact", known_by=EXCITATION),)
