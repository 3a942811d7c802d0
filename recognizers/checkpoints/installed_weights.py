"""Weights that a package of their own brings: dlib's face recognition network, in `face_recognition_models`."""

from importlib.util import find_spec
from pathlib import Path

_PACKAGE = "face_recognition_models"
_FILE = Path("models", "dlib_face_recognition_resnet_model_v1.dat")


def dlib_resnet_file() -> Path | None:
    """The file with the weights of `DlibResNet`, or None where the package is not installed.

    The package is not imported: its code needs setuptools' retired `pkg_resources`. None of its other models is touched: the
    licence of its predictor of 68 landmarks excludes commercial use.
    """
    spec = find_spec(_PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    return next((file for folder in folders or () if (file := Path(folder) / _FILE).is_file()), None)
