"""From an ONNX file and its card to a network. A session is made only of what has passed everything else."""

from pathlib import Path

import numpy as np
import torch

from recognizers.errors import CheckpointError, wrap_errors
from recognizers.onnx.card import OnnxCard, read_onnx_card
from recognizers.onnx.model_file import OnnxFile
from recognizers.onnx.network import OnnxNetwork
from recognizers.onnx.session import MakeSession, onnxruntime_session
from recognizers.onnx.shapes import check_shapes, one_face
from recognizers.onnx.structure import check_structure


def build_onnx(file: OnnxFile, *, card: Path, make_session: MakeSession = onnxruntime_session) -> OnnxNetwork:
    """The network of a file, once it has answered for one face.

    Args:
        file: that was read.
        card: the path of its card.
        make_session: is called once the file has been checked and its card agrees with it.

    Raises:
        CheckpointError: the file or its card is refused, or contradicts the other.
    """
    try:
        interface = check_structure(file.model)
        alone = one_face(file.model, interface)
        width = check_shapes(alone, interface)
    except CheckpointError as error:
        raise CheckpointError(f"{file.path}: {error}") from error
    stated = read_onnx_card(card)
    _check_agreement(file, stated, card=card, side=interface.side, width=width)
    with wrap_errors(f"{file.path}: the network {stated.name}"):
        network = OnnxNetwork(stated, make_session(alone.SerializeToString()))
        _try_out(network)
    return network


def _check_agreement(file: OnnxFile, stated: OnnxCard, *, card: Path, side: int, width: int) -> None:
    for fact, of_card, of_file in (
        ("input_size", stated.input_size, side),
        ("embedding_size", stated.embedding_size, width),
        ("sha256", stated.sha256 or file.sha256, file.sha256),
    ):
        if of_card != of_file:
            raise CheckpointError(f"{card}: {fact}: the card says {of_card}, and {file.path.name} has {of_file}")


def _try_out(network: OnnxNetwork) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (1, 3, network.input_size, network.input_size))
    with torch.inference_mode():
        features = network(torch.from_numpy(levels).float())
    if features.shape != (1, network.feature_size) or not bool(torch.isfinite(features).all()):
        raise ValueError(f"expected {network.feature_size} finite features of a face, got {tuple(features.shape)}")
