"""The published checkpoint files, by digest."""

from collections.abc import Mapping
from types import MappingProxyType

PUBLISHED: Mapping[str, str] = MappingProxyType(
    {
        "281cebca8662831adb987a874bdcb36e73f5b1c6dc5ee5878f305e985625d99b": (
            "20180402-114759-vggface2.pt of facenet-pytorch v2.2.9"
        ),
        "9a954e4046df21aea62b46c032de4b56f7230dfc3705b6b1bda348983e0eb26e": "resnet50_ft_weight.pkl of VGGFace2-pytorch",
        "ad98acb4475df0949cc4357c971f68d0eb944f8323ecef387a0be5b10a2dbca0": "senet50_ft_weight.pkl of VGGFace2-pytorch",
    }
)
