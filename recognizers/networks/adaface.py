"""AdaFace's IR-50 and IR-101 (Kim et al. 2022): the IR networks with a BatchNorm more in each block, on blue, green, red."""

from dataclasses import replace

from torch import Tensor, nn

from recognizers.networks.aligned import AlignedNetwork
from recognizers.networks.depth_format import DepthFormat
from recognizers.networks.ir import BLOCKS_50, IR_FORMAT, Block, IrBackbone

BLOCKS_101 = (3, 13, 30, 3)


class NormalisedBlock(Block):
    """A BatchNorm between the first convolution and its PReLU."""

    def residual(self, channels_in: int, channels: int, stride: int) -> nn.Sequential:
        return nn.Sequential(
            nn.BatchNorm2d(channels_in),
            nn.Conv2d(channels_in, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.PReLU(channels),
            nn.Conv2d(channels, channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels),
        )


class AdaFaceBackbone(IrBackbone):
    """As `IrBackbone`; the features are normalised without a scale or a shift."""

    block = NormalisedBlock
    scaled_features = False


class AdaFaceNetwork(AlignedNetwork):
    """Channels in the order blue, green, red."""

    def normalise(self, images: Tensor) -> Tensor:
        return super().normalise(images.flip(1))


def _formats(blocks: int) -> tuple[DepthFormat, ...]:
    """A bare state dict; and the checkpoints as they are published, with the training's classifier beside the network."""
    plain = replace(IR_FORMAT, name="AdaFace", known_by="body.0.res_layer.5.weight", without=(), blocks=blocks)
    return (
        plain,
        replace(
            plain,
            name="AdaFace checkpoint",
            known_by=f"model.{plain.known_by}",
            block=rf"model\.{plain.block}",
            renames=((r"^model\.", ""),),
            left_out=r"head\..*",
        ),
    )


class AdaFaceIr50(AdaFaceNetwork):
    """24 blocks (3, 4, 14, 3)."""

    name = "adaface-ir50"
    formats = _formats(sum(BLOCKS_50))

    def __init__(self) -> None:
        super().__init__()
        self.backbone = AdaFaceBackbone(BLOCKS_50)


class AdaFaceIr101(AdaFaceNetwork):
    """49 blocks (3, 13, 30, 3)."""

    name = "adaface-ir101"
    formats = _formats(sum(BLOCKS_101))

    def __init__(self) -> None:
        super().__init__()
        self.backbone = AdaFaceBackbone(BLOCKS_101)
