"""FaceNet: Inception-ResNet v1 as facenet-pytorch has it (Schroff et al. 2015; Szegedy et al. 2017)."""

from torch import Tensor, nn

from recognizers.networks.network import Network
from recognizers.networks.state_dict_format import StateDictFormat
from recognizers.without_compiler import without_compiler

with without_compiler():
    from facenet_pytorch import InceptionResnetV1


class FaceNet(Network):
    """160 x 160 RGB, normalised to about -1..1. Features are the output of `last_bn`, not L2-normalised."""

    name = "facenet"
    input_size = 160
    feature_size = 512
    head_name = "logits"
    formats = (StateDictFormat(name="facenet-pytorch", known_by="conv2d_1a.conv.weight"),)

    def __init__(self) -> None:
        super().__init__()
        # classify=True makes it hand the unnormalised features to `logits`; pretrained=None keeps it from downloading.
        self.backbone = InceptionResnetV1(pretrained=None, classify=True, num_classes=1)
        self.backbone.logits = nn.Identity()

    def normalise(self, images: Tensor) -> Tensor:
        return (images - 127.5) / 128.0
