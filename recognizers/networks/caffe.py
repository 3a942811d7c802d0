"""The input convention of the Caffe networks trained on VGGFace2 (Cao et al. 2018)."""

import torch
from torch import Tensor

from recognizers.networks.network import Network

MEAN_BGR = (91.4953, 103.8827, 131.0912)


class CaffeNetwork(Network):
    """224 x 224, channels in the order blue, green, red, levels 0..255 minus the training set's mean."""

    input_size = 224
    feature_size = 2048
    mean_bgr: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean_bgr", torch.tensor(MEAN_BGR).view(1, 3, 1, 1), persistent=False)

    def normalise(self, images: Tensor) -> Tensor:
        return images.flip(1) - self.mean_bgr
