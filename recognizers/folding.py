"""Folds BatchNorm into the convolutions before it: in evaluation mode both are one linear map."""

import torch
from torch.fx.experimental.optimization import fuse

from recognizers.recognizer import NeuralRecognizer


def fold_batch_norm(recognizer: NeuralRecognizer) -> None:
    """Makes a frozen recognizer faster; its logits stay the same up to float32's rounding.

    Every convolution that a BatchNorm follows takes its scale and shift over (Jacob et al. 2018, section 3.2).
    """
    network = recognizer.network
    with torch.no_grad():
        network.backbone = fuse(network.backbone)
    recognizer.freeze()
