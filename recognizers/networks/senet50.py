"""SENet-50: the Caffe ResNet-50 with squeeze-and-excitation, as timm has it (Hu et al. 2018; Cao et al. 2018)."""

from recognizers.networks.caffe import CaffeNetwork
from recognizers.networks.matconvnet import MatConvNetExport
from recognizers.networks.state_dict_format import StateDictFormat


class SENet50(CaffeNetwork):
    """timm's `legacy_seresnet50`, which keeps the Caffe strides and stem pool."""

    name = "senet50"
    head_name = "last_linear"
    formats = (
        StateDictFormat(
            name="VGGFace2-pytorch",
            known_by="layer1.0.conv4.weight",
            renames=(
                (r"^(conv1|bn1)\.", r"layer0.\1."),
                (r"\.conv4\.", ".se_module.fc1."),
                (r"\.conv5\.", ".se_module.fc2."),
                (r"^fc\.", "last_linear."),
            ),
        ),
        StateDictFormat(name="timm", known_by="layer1.0.se_module.fc1.weight"),
        MatConvNetExport(known_by="conv2_1_1x1_down.weight", stem="layer0.", classifier="last_linear"),
    )

    def __init__(self) -> None:
        super().__init__()
        import timm  # only now: it imports all of its networks, and PyTorch's compiler

        self.backbone = timm.create_model("legacy_seresnet50", pretrained=False, num_classes=0)
