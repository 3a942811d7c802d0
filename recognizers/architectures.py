"""The networks that checkpoints can hold, by name."""

from collections.abc import Mapping
from types import MappingProxyType

from recognizers.compact import CompactFaceNet, CompactResNet, CompactSENet
from recognizers.facenet import FaceNet
from recognizers.network import Network
from recognizers.resnet50 import ResNet50
from recognizers.senet50 import SENet50

ARCHITECTURES: Mapping[str, type[Network]] = MappingProxyType(
    {network.name: network for network in (FaceNet, ResNet50, SENet50, CompactFaceNet, CompactResNet, CompactSENet)}
)
