"""Where the weights of dlib's network are looked for."""

from pathlib import Path

import pytest

from recognizers.checkpoints import installed_weights
from recognizers.checkpoints.installed_weights import dlib_resnet_file


def test_a_folder_with_the_file_alone_is_enough_as_in_the_images_of_the_services(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "weights_of_others" / "models" / "dlib_face_recognition_resnet_model_v1.dat"
    file.parent.mkdir(parents=True)
    file.touch()
    monkeypatch.setattr(installed_weights, "_PACKAGE", "weights_of_others")
    assert dlib_resnet_file() is None
    monkeypatch.syspath_prepend(tmp_path)
    assert dlib_resnet_file() == file
