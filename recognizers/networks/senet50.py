"""SENet-50: the Caffe ResNet-50 with squeeze-and-excitation, as timm has it (Hu et al. 2018; Cao et al. 2018)."""

import timm

from recognizers.networks.caffe import CaffeNetwork
from recognizers.networks.layouts import MatConvNetSENet, TimmSENet, Vggface2SENet


class SENet50(CaffeNetwork):
    """timm's `legacy_seresnet50`, which keeps the Caffe strides and stem pool."""

    name = "senet50"
    head_name = "last_linear"
    layouts = (Vggface2SENet(), TimmSENet(), MatConvNetSENet())

    def __init__(self) -> None:
        super().__init__()
        self.backbone = timm.create_model("legacy_seresnet50", pretrained=False, num_classes=0)
