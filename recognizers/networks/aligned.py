"""The input convention of networks that were trained on aligned faces (Deng et al. 2019)."""

from torch import Tensor

from recognizers.alignment import SIDE
from recognizers.extraction import Extraction
from recognizers.networks.network import Network


class AlignedNetwork(Network):
    """112 x 112, levels normalised to -1..1; features of two faces are compared by cosine similarity."""

    input_size = SIDE
    extraction = Extraction.ALIGNED
    feature_size = 512
    head_name = None

    def normalise(self, images: Tensor) -> Tensor:
        return (images / 255 - 0.5) / 0.5
