"""What an ONNX network answers: as the network that it was exported from, a face at a time, in the order its card says."""

import hashlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from recognizers.checkpoints.loading import load_onnx
from recognizers.galleries.enrolment import EmbeddingNetwork
from recognizers.networks.network import Distance
from recognizers.networks.recognizer import Embedder
from recognizers.onnx.network import OnnxBackbone
from recognizers.precision import Precision
from tests.support.filled_networks import filled_network, image
from tests.support.onnx_files import SIDE, linear_model, needs_onnx, weights, write_onnx

pytestmark = needs_onnx

TOLERANCE = 1e-4


def faces(count: int) -> Tensor:
    levels = np.random.default_rng(1).integers(0, 256, (count, 3, SIDE, SIDE))
    return torch.from_numpy(levels).float()


def embedder(folder: Path, model: Any = None, **facts: Any) -> Embedder:
    return load_onnx(write_onnx(folder, model, **facts)).recognizer


def expected(images: Tensor) -> Tensor:
    """By NumPy, of what the network is shown."""
    return torch.from_numpy(images.numpy().reshape(len(images), -1) @ weights())


def test_an_export_of_a_network_answers_as_it_does(tmp_path: Path) -> None:
    network = filled_network("mobilefacenet", dtype=torch.float32)
    path = write_onnx(tmp_path, input_size=112, embedding_size=512, std=127.5, alignment="aligned")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the newer exporter needs another package
        torch.onnx.export(
            network.backbone,
            (torch.zeros(1, 3, 112, 112),),
            path,
            dynamo=False,
            dynamic_axes={"image": {0: "batch"}},
            input_names=["image"],
            output_names=["embedding"],
            opset_version=17,
        )
    loaded = load_onnx(path)
    shown = image().float()
    answered = normalize(loaded.recognizer.features(shown))
    assert answered.shape == (1, network.feature_size)
    assert float((answered - normalize(network(shown))).abs().max()) < TOLERANCE
    assert loaded.checkpoint_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_levels_are_normalised_as_the_card_says(tmp_path: Path) -> None:
    images = faces(1)
    answered = embedder(tmp_path, mean=[100, 110, 120], std=[1, 2, 4]).features(images)
    shown = (images - torch.tensor([100.0, 110, 120]).view(3, 1, 1)) / torch.tensor([1.0, 2, 4]).view(3, 1, 1)
    assert torch.allclose(answered, expected(shown), rtol=TOLERANCE, atol=TOLERANCE)


def test_features_are_compared_as_the_card_says(tmp_path: Path) -> None:
    network = embedder(tmp_path, metric="euclidean", threshold=0.6).network
    assert (network.distance, network.usual_threshold) == (Distance.EUCLIDEAN, 0.6)


def test_blue_comes_first_where_the_card_says_so(tmp_path: Path) -> None:
    images = faces(1)
    answered = embedder(tmp_path, channels="BGR", mean=[100, 110, 120], std=1).features(images)
    shown = images.flip(1) - torch.tensor([100.0, 110, 120]).view(3, 1, 1)
    assert torch.allclose(answered, expected(shown), rtol=TOLERANCE, atol=TOLERANCE)


def test_a_face_is_answered_alike_whatever_shares_its_batch(tmp_path: Path) -> None:
    network, images = embedder(tmp_path), faces(3)
    together = network.features(images)
    assert all(torch.equal(together[row], network.features(images[row : row + 1])[0]) for row in range(3))


def test_what_fills_a_batch_is_computed_once() -> None:
    shown: list[float] = []

    def session(face: NDArray[np.float32]) -> NDArray[np.float32]:
        shown.append(float(face[0, 0, 0, 0]))
        return face[:, :, 0, 0]

    levels = torch.tensor([1.0, 2, 1, 1, 1]).view(5, 1, 1, 1).expand(5, 3, SIDE, SIDE)
    features = OnnxBackbone(session)(levels)
    assert shown == [1, 2, 1]
    assert features.tolist() == [[level] * 3 for level in (1, 2, 1, 1, 1)]


@pytest.mark.parametrize("opset", [7, 11, 23])
def test_versions_of_the_operators_are_computed(tmp_path: Path, opset: int) -> None:
    answered = embedder(tmp_path, linear_model(opset=opset), mean=0, std=1).features(faces(1))
    assert torch.allclose(answered, expected(faces(1)), rtol=TOLERANCE, atol=TOLERANCE)


def test_weights_may_be_listed_as_inputs_as_older_files_do(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    model = linear_model()
    model.ir_version = 3
    model.graph.input.append(helper.make_tensor_value_info("weights", TensorProto.FLOAT, weights().shape))
    answered = embedder(tmp_path, model, mean=0, std=1).features(faces(1))
    assert torch.allclose(answered, expected(faces(1)), rtol=TOLERANCE, atol=TOLERANCE)


def test_a_size_that_the_graph_computes_of_its_input_is_known(tmp_path: Path) -> None:
    """As exporters write a division by the length of a vector."""
    from onnx import helper

    before = [
        helper.make_node("ReduceL2", ["image"], ["length"], axes=[1], keepdims=1),
        helper.make_node("Shape", ["image"], ["shape"]),
        helper.make_node("Expand", ["length", "shape"], ["lengths"]),
        helper.make_node("Div", ["image", "lengths"], ["unit"]),
    ]
    images = faces(1)
    answered = embedder(tmp_path, linear_model(before=before, image="unit"), mean=0, std=1).features(images)
    assert torch.allclose(answered, expected(normalize(images, dim=1)), rtol=TOLERANCE, atol=TOLERANCE)


def test_embeddings_are_kept_for_the_card_that_they_were_made_by(tmp_path: Path) -> None:
    made_by = set()
    for place, channels in enumerate(("RGB", "BGR", "RGB")):
        loaded = load_onnx(write_onnx(tmp_path, file=str(place), channels=channels))
        network = EmbeddingNetwork(loaded.recognizer, loaded.checkpoint_sha256, Precision.FLOAT32, torch.device("cpu"))
        made_by.add(network.made_by)
    assert len(made_by) == 2
