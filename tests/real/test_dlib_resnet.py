"""dlib's network on photographs of people whom it has never seen: one enrolled, one as the probe."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from recognizers.checkpoints.checkpoint import read_checkpoint
from recognizers.checkpoints.installed_weights import dlib_resnet_file
from recognizers.checkpoints.loading import build_network
from recognizers.extraction import MtcnnDetector, crop, extract_face
from recognizers.networks.dlib_resnet import DlibResNet
from recognizers.networks.network import Network
from tests.support.figure import Tell

USUAL_THRESHOLD = DlibResNet.usual_threshold

pytestmark = [
    pytest.mark.real,
    pytest.mark.thorough("recognizers/networks/", "recognizers/checkpoints/", "recognizers/extraction.py"),
]


def test_a_smiling_face_is_nearest_to_the_same_persons_neutral_one(real: Path, tell: Tell) -> None:
    """Closed-set search among all, and verification of every pair, by Euclidean distance."""
    people = sorted(path.name for path in (real / "faces").iterdir())
    path = dlib_resnet_file()
    assert path is not None
    network, detector = build_network(read_checkpoint(path)), MtcnnDetector(torch.device("cpu"))
    enrolled, probes = (
        torch.stack([features(network, detector, real / "faces" / person / file) for person in people])
        for file in ("neutral.jpg", "smiling.jpg")
    )
    distances = torch.cdist(probes, enrolled).numpy()
    rank_1 = float((distances.argmin(axis=1) == np.arange(len(people))).mean())
    same = distances.diagonal()
    others = distances[~np.eye(len(people), dtype=bool)]
    error = equal_error_rate(same, others)
    tell(f"{len(people)} people: rank 1 {rank_1:.1%}, EER {error:.2%}, mean distance of strangers {others.mean():.2f}")
    half = len(people) // 2  # is enrolled; the others search
    false_positives = int((distances[half:, :half].min(axis=1) <= USUAL_THRESHOLD).sum())
    missed = int((same[:half] > USUAL_THRESHOLD).sum())
    tell(f"at {USUAL_THRESHOLD}: {false_positives} of {len(people) - half} strangers found, {missed} of {half} missed")
    assert len(people) == 102
    assert rank_1 >= 0.99
    assert error <= 0.01
    assert missed == 0
    assert false_positives <= half // 4  # its users' threshold is for pairs: a search of 51 is 51 of them


def features(network: Network, detector: MtcnnDetector, path: Path) -> Tensor:
    with Image.open(path) as image:
        photo = np.asarray(image.convert("RGB"))
    crop_box = extract_face(photo, detector)
    assert crop_box is not None, path
    face = torch.from_numpy(crop(photo, crop_box, side=network.input_size).copy()).permute(2, 0, 1).float()
    with torch.no_grad():
        found: Tensor = network(face[None])[0]
    return found


def equal_error_rate(same: NDArray[np.float32], others: NDArray[np.float32]) -> float:
    """The smallest that the larger of the two errors can be, over all thresholds (ISO/IEC 19795-1)."""
    thresholds = np.unique(np.concatenate([same, others]))
    return float(min(max((same > each).mean(), (others <= each).mean()) for each in thresholds))
