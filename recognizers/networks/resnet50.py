"""ResNet-50 as Caffe has it (He et al. 2016; Cao et al. 2018)."""

from typing import Any

from torch import nn
from torchvision.models.resnet import Bottleneck, ResNet

from recognizers.networks.caffe import CaffeNetwork
from recognizers.networks.layouts import MatConvNetResNet, Vggface2ResNet


class CaffeBottleneck(Bottleneck):  # type: ignore[misc]  # torchvision is untyped
    """Downsamples in the first 1x1 convolution; torchvision's does so in the 3x3. The parameters' names and shapes agree."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conv1.stride, self.conv2.stride = self.conv2.stride, self.conv1.stride


class ResNet50(CaffeNetwork):
    """The Caffe ResNet-50: strides as above, and a stem pool without padding whose last window may hang over the edge."""

    name = "resnet50"
    head_name = "fc"
    layouts = (Vggface2ResNet(), MatConvNetResNet())

    def __init__(self) -> None:
        super().__init__()
        self.backbone = ResNet(CaffeBottleneck, [3, 4, 6, 3], num_classes=1)
        self.backbone.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=0, ceil_mode=True)
        self.backbone.fc = nn.Identity()
