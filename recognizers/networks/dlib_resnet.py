"""dlib_face_recognition_resnet_model_v1: dlib's face recognition network (King 2017; He et al. 2016 at half the width).

King, "High Quality Face Recognition with Deep Metric Learning", blog.dlib.net, 12 February 2017; the network itself as
dlib's `dnn_face_recognition_ex.cpp` has it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from recognizers.networks.network import Distance, Network
from recognizers.networks.state_dict_format import StateDictFormat

MEAN_RGB = (122.782, 117.001, 104.298)
SCALE = 256.0
SIDE = 150  # of dlib's face chips, in pixels
CROP_SIDE, TOP, LEFT = 195, 35, 23  # where a chip lies in the crop
STEM = 32
# Channels of each block, and whether it halves rows and columns.
BLOCKS = (
    *((32, False),) * 3,
    (64, True),
    *((64, False),) * 3,
    (128, True),
    *((128, False),) * 2,
    (256, True),
    *((256, False),) * 2,
    (256, True),
)


class Residual(nn.Module):
    """Two 3x3 convolutions beside the identity, or beside a mean over 2 x 2 where the block halves its input.

    dlib pads no convolution with a stride, and adds what differs in shape as if zeros followed the smaller one's last row,
    column and channel. How many is settled here, for an input of `side` x `side`.
    """

    def __init__(self, channels_in: int, channels: int, *, side: int, halves: bool) -> None:
        super().__init__()
        self.halves = halves
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride=2 if halves else 1, padding=0 if halves else 1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        convolved, pooled = (_strided(side, 3), _strided(side, 2)) if halves else (side, side)
        self.side = max(convolved, pooled)
        self.fill = _zeros(edge=self.side - convolved)
        pool = nn.AvgPool2d(2) if halves else nn.Identity()
        self.around = nn.Sequential(pool, _zeros(edge=self.side - pooled, channels=channels - channels_in))

    def forward(self, features: Tensor) -> Tensor:
        changed = self.fill(self.conv2(torch.relu(self.conv1(features))))
        return torch.relu(changed + self.around(features))


def _strided(side: int, kernel: int) -> int:
    """Rows that an unpadded window of stride 2 leaves."""
    return (side - kernel) // 2 + 1


def _zeros(*, edge: int, channels: int = 0) -> nn.Module:
    """Zeros below, to the right and as channels; (N, C, H, W) passes for a single (D, C, H, W)."""
    return nn.ConstantPad3d((0, edge, 0, edge, 0, channels), 0.0) if edge or channels else nn.Identity()


class DlibBackbone(nn.Module):
    """Reads a face chip out of the crop: 150 x 150 -> 35 x 35 x 32 -> 17 x 17 x 64 -> 8 x 8 x 128 -> 2 x 2 x 256, averaged.

    dlib's affine layers, what became of BatchNorm, are folded into the convolution before each.
    """

    def __init__(self, blocks: Sequence[tuple[int, bool]] = BLOCKS, *, features: int = 128) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, STEM, 7, stride=2)
        self.pool = nn.MaxPool2d(3, stride=2)
        side, width = _strided(_strided(SIDE, 7), 3), STEM
        self.residuals = nn.Sequential()
        for channels, halves in blocks:
            block = Residual(width, channels, side=side, halves=halves)
            self.residuals.append(block)
            side, width = block.side, channels
        self.fc = nn.Linear(width, features, bias=False)

    def forward(self, crops: Tensor) -> Tensor:
        chips = crops[:, :, TOP : TOP + SIDE, LEFT : LEFT + SIDE]
        stem = self.pool(torch.relu(self.conv(chips)))
        features: Tensor = self.fc(self.residuals(stem).mean((2, 3)))
        return features


class DlibResNet(Network):
    """195 x 195 RGB, of which it sees rows 35..184 and columns 23..172, minus the training set's mean, over 256.

    dlib cuts its chips by landmarks, and a face fills more of them than of our square crop; this window of it comes nearest.
    Features are not L2-normalised.
    """

    name = "dlib"
    input_size = CROP_SIDE
    feature_size = 128
    distance = Distance.EUCLIDEAN
    usual_threshold = 0.6
    head_name = None
    formats = (
        StateDictFormat(
            name="dlib-resnet",
            known_by="residuals.13.conv2.weight",
            note="its users take two faces whose features are less than 0.6 apart for one person's",
        ),
    )
    mean_rgb: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.backbone = DlibBackbone(features=self.feature_size)
        self.register_buffer("mean_rgb", torch.tensor(MEAN_RGB).view(1, 3, 1, 1), persistent=False)

    def normalise(self, images: Tensor) -> Tensor:
        return (images - self.mean_rgb) / SCALE
