"""ResNet-50 as Caffe has it (He et al. 2016; Cao et al. 2018)."""

from typing import Any

from torch import nn

from recognizers.networks.caffe import CaffeNetwork
from recognizers.networks.matconvnet import MatConvNetExport
from recognizers.networks.state_dict_format import StateDictFormat
from recognizers.without_compiler import without_compiler

with without_compiler():
    from torchvision.models.resnet import Bottleneck, ResNet


class CaffeBottleneck(Bottleneck):  # type: ignore[misc]  # torchvision is untyped
    """Downsamples in the first 1x1 convolution; torchvision's does so in the 3x3. The parameters' names and shapes agree."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conv1.stride, self.conv2.stride = self.conv2.stride, self.conv1.stride


class ResNet50(CaffeNetwork):
    """The Caffe ResNet-50: strides as above, and a stem pool without padding whose last window may hang over the edge."""

    name = "resnet50"
    head_name = "fc"
    formats = (
        StateDictFormat(
            name="VGGFace2-pytorch",
            known_by="layer1.0.conv3.weight",
            without=("layer1.0.conv4.weight", "layer0.conv1.weight"),
            note="read as the Caffe network (stride in the first 1x1 convolution, BGR input); torchvision's resnet50 has "
            "the same names and shapes, so weights trained in that one load here and answer wrongly",
        ),
        MatConvNetExport(
            known_by="conv2_1_1x1_reduce.weight", without=("conv2_1_1x1_down.weight",), stem="", classifier="fc"
        ),
    )

    def __init__(self) -> None:
        super().__init__()
        self.backbone = ResNet(CaffeBottleneck, [3, 4, 6, 3], num_classes=1)
        self.backbone.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=0, ceil_mode=True)
        self.backbone.fc = nn.Identity()
