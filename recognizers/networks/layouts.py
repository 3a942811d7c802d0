"""The namings under which people hold the three networks, each translated to the names of the library that builds it."""

import re
from collections.abc import Collection
from typing import ClassVar

from torch import Tensor

from recognizers.networks.layout import AsBuilt, Layout


class FacenetPytorch(Layout):
    """facenet-pytorch's InceptionResnetV1."""

    name = "facenet-pytorch"

    def matches(self, names: Collection[str]) -> bool:
        return "conv2d_1a.conv.weight" in names


class Vggface2ResNet(Layout):
    """VGGFace2-pytorch's ResNet-50; a state dict of the same network has the same names."""

    name = "VGGFace2-pytorch"
    note = (
        "read as the Caffe network (stride in the first 1x1 convolution, BGR input); torchvision's resnet50 has the same "
        "names and shapes, so weights trained in that one load here and answer wrongly"
    )

    def matches(self, names: Collection[str]) -> bool:
        return "layer1.0.conv3.weight" in names and not {"layer1.0.conv4.weight", "layer0.conv1.weight"} & set(names)


class Vggface2SENet(Layout):
    """VGGFace2-pytorch's SENet-50: conv4 and conv5 of a block squeeze and excite."""

    name = "VGGFace2-pytorch"

    def matches(self, names: Collection[str]) -> bool:
        return "layer1.0.conv4.weight" in names

    def rename(self, name: str) -> str:
        name = re.sub(r"^(conv1|bn1)\.", r"layer0.\1.", name)
        name = re.sub(r"\.conv4\.", ".se_module.fc1.", name)
        name = re.sub(r"\.conv5\.", ".se_module.fc2.", name)
        return re.sub(r"^fc\.", "last_linear.", name)


class TimmSENet(Layout):
    """timm's legacy_seresnet50."""

    name = "timm"

    def matches(self, names: Collection[str]) -> bool:
        return "layer1.0.se_module.fc1.weight" in names and "layer0.conv1.weight" in names


class _MatConvNet(Layout):
    """The MatConvNet exports: `conv{stage}_{block}_{part}`, RGB input, a 1x1 convolution as classifier."""

    name = "MatConvNet export"
    classifier: ClassVar[str]
    stem: ClassVar[str]  # what stands before conv1 and bn1
    parts: ClassVar[dict[str, str]]

    def rename(self, name: str) -> str:
        if stem := re.fullmatch(r"conv1_7x7_s2(_bn)?\.(\w+)", name):
            return f"{self.stem}{'bn1' if stem[1] else 'conv1'}.{stem[2]}"
        if block := re.fullmatch(r"conv(\d)_(\d)_(1x1_reduce|3x3|1x1_increase|1x1_proj|1x1_down|1x1_up)(_bn)?\.(\w+)", name):
            stage, number, part, batch_norm, parameter = block.groups()
            if (module := self.parts.get(part + (batch_norm or ""))) is not None:
                return f"layer{int(stage) - 1}.{int(number) - 1}.{module}.{parameter}"
        return re.sub(r"^classifier\.", f"{self.classifier}.", name)

    def translate(self, name: str, tensor: Tensor) -> Tensor:
        if name == "conv1_7x7_s2.weight" and tensor.ndim == 4:
            return tensor.flip(1)  # RGB -> BGR, the order that the network is fed in here
        if name == "classifier.weight" and tensor.shape[2:] == (1, 1):
            return tensor[:, :, 0, 0]
        return tensor


_RESNET_PARTS = {
    "1x1_reduce": "conv1",
    "1x1_reduce_bn": "bn1",
    "3x3": "conv2",
    "3x3_bn": "bn2",
    "1x1_increase": "conv3",
    "1x1_increase_bn": "bn3",
    "1x1_proj": "downsample.0",
    "1x1_proj_bn": "downsample.1",
}


class MatConvNetResNet(_MatConvNet):
    """`resnet50_ft_dag.pth` and its like."""

    classifier = "fc"
    stem = ""
    parts = _RESNET_PARTS

    def matches(self, names: Collection[str]) -> bool:
        return "conv2_1_1x1_reduce.weight" in names and "conv2_1_1x1_down.weight" not in names


class MatConvNetSENet(_MatConvNet):
    """`senet50_ft_dag.pth` and its like."""

    classifier = "last_linear"
    stem = "layer0."
    parts = _RESNET_PARTS | {"1x1_down": "se_module.fc1", "1x1_up": "se_module.fc2"}

    def matches(self, names: Collection[str]) -> bool:
        return "conv2_1_1x1_down.weight" in names


class Compact(AsBuilt):
    """A compact network as this project's training saves it."""

    name = "compact"
