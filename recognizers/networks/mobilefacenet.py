"""MobileFaceNet (Chen et al. 2018), as InsightFace_Pytorch has it: 1.2 million parameters."""

from torch import Tensor, nn

from recognizers.networks.aligned import AlignedNetwork
from recognizers.networks.state_dict_format import StateDictFormat

FEATURES = 512


class Convolution(nn.Module):
    """A convolution and its BatchNorm; rectified by a PReLU unless it is linear."""

    def __init__(
        self,
        channels_in: int,
        channels: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
        linear: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels, kernel, stride, padding, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        self.prelu: nn.Module = nn.Identity() if linear else nn.PReLU(channels)

    def forward(self, features: Tensor) -> Tensor:
        output: Tensor = self.prelu(self.bn(self.conv(features)))
        return output


class Bottleneck(nn.Module):
    """Wider by a 1x1 convolution, a 3x3 one on each channel alone, and linearly narrow again (Sandler et al. 2018)."""

    def __init__(self, channels_in: int, channels: int, *, within: int, stride: int = 1, residual: bool = False) -> None:
        super().__init__()
        self.conv = Convolution(channels_in, within)
        self.conv_dw = Convolution(within, within, kernel=3, stride=stride, padding=1, groups=within)
        self.project = Convolution(within, channels, linear=True)
        self.residual = residual

    def forward(self, features: Tensor) -> Tensor:
        changed: Tensor = self.project(self.conv_dw(self.conv(features)))
        return features + changed if self.residual else changed


class Residuals(nn.Module):
    """Bottlenecks of one width beside the identity."""

    def __init__(self, channels: int, *, number: int, within: int) -> None:
        super().__init__()
        self.model = nn.Sequential(*(Bottleneck(channels, channels, within=within, residual=True) for _ in range(number)))

    def forward(self, features: Tensor) -> Tensor:
        output: Tensor = self.model(features)
        return output


class MobileFaceNetBackbone(nn.Module):
    """112 x 112 x 3 -> 56 x 56 x 64 -> 28 x 28 x 64 -> 14 x 14 x 128 -> 7 x 7 x 512 -> 512 features."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = Convolution(3, 64, kernel=3, stride=2, padding=1)
        self.conv2_dw = Convolution(64, 64, kernel=3, padding=1, groups=64)
        self.conv_23 = Bottleneck(64, 64, within=128, stride=2)
        self.conv_3 = Residuals(64, number=4, within=128)
        self.conv_34 = Bottleneck(64, 128, within=256, stride=2)
        self.conv_4 = Residuals(128, number=6, within=256)
        self.conv_45 = Bottleneck(128, 128, within=512, stride=2)
        self.conv_5 = Residuals(128, number=2, within=256)
        self.conv_6_sep = Convolution(128, 512)
        self.conv_6_dw = Convolution(512, 512, kernel=7, groups=512, linear=True)
        self.linear = nn.Linear(512, FEATURES, bias=False)
        self.bn = nn.BatchNorm1d(FEATURES)

    def forward(self, images: Tensor) -> Tensor:
        features = self.conv_3(self.conv_23(self.conv2_dw(self.conv1(images))))
        features = self.conv_5(self.conv_45(self.conv_4(self.conv_34(features))))
        features = self.conv_6_dw(self.conv_6_sep(features))
        answer: Tensor = self.bn(self.linear(features.flatten(1)))
        return answer


class MobileFaceNet(AlignedNetwork):
    """The `mobile_face.pth` of AMT-GAN (Hu et al. 2022) and its successors."""

    name = "mobilefacenet"
    formats = (StateDictFormat(name="InsightFace_Pytorch", known_by="conv_23.conv_dw.conv.weight"),)

    def __init__(self) -> None:
        super().__init__()
        self.backbone = MobileFaceNetBackbone()
