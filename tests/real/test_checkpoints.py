"""Full-size checkpoints in the formats that people hold, and the photographs they were trained on."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from recognizers.checkpoints.checkpoint import read_checkpoint
from recognizers.checkpoints.loading import LoadedRecognizer, load_folder
from recognizers.extraction import MtcnnDetector, crop, extract_face
from tests.support.torchattacks_oracle import (
    Y_TRUE,
    check_against_torchattacks,
)

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def loaded(real: Path) -> Mapping[str, LoadedRecognizer]:
    return load_folder(real / "checkpoints", torch.device("cpu"))


@pytest.mark.parametrize(
    ("file", "architecture", "file_format"),
    [
        ("facenet.pt", "facenet", "PyTorch file, facenet-pytorch names"),
        ("resnet50.pkl", "resnet50", "pickle of numpy arrays, VGGFace2-pytorch names"),
        ("senet50.pkl", "senet50", "pickle of numpy arrays, VGGFace2-pytorch names"),
    ],
)
def test_the_formats_are_recognised(real: Path, file: str, architecture: str, file_format: str) -> None:
    checkpoint = read_checkpoint(real / "checkpoints" / file)
    assert checkpoint.architecture == architecture
    assert checkpoint.file_format == file_format
    assert checkpoint.precision == "float16"
    assert checkpoint.published_as is None


def test_the_recognizers_name_the_people_they_know(real: Path, loaded: Mapping[str, LoadedRecognizer]) -> None:
    detector = MtcnnDetector(torch.device("cpu"))
    photos = sorted((real / "faces").glob("*/neutral.jpg"))[:24]
    right = dict.fromkeys(loaded, 0)
    for path in photos:
        with Image.open(path) as image:
            photo = np.asarray(image.convert("RGB"))
        crop_box = extract_face(photo, detector)
        assert crop_box is not None, path
        for name, model in loaded.items():
            recognizer = model.recognizer
            face = torch.from_numpy(crop(photo, crop_box, side=recognizer.input_size).copy()).permute(2, 0, 1).float()
            with torch.no_grad():
                best = int(recognizer.logits(face[None])[0].argmax())
            right[name] += recognizer.label_set.identities[best] == path.parent.name
    assert set(right) == {"facenet", "resnet50", "senet50"}
    assert min(right.values()) >= 0.95 * len(photos), right


@pytest.mark.parametrize("method", ["bim", "illc"])
def test_crafting_agrees_with_torchattacks(real: Path, loaded: Mapping[str, LoadedRecognizer], method: str) -> None:
    recognizer = loaded["facenet"].recognizer
    identity = recognizer.label_set.identities[Y_TRUE]
    photos = real / "faces" / identity
    path = photos if photos.is_dir() else min((real / "faces").iterdir())
    with Image.open(path / "neutral.jpg") as image:
        photo = np.asarray(image.convert("RGB"))
    crop_box = extract_face(photo, MtcnnDetector(torch.device("cpu")))
    assert crop_box is not None
    check_against_torchattacks(recognizer, crop(photo, crop_box, side=160), method)
