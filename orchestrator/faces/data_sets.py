"""The data sets that `--faces` can name."""

import os
from pathlib import Path

from orchestrator.faces.data_set import DataSet
from orchestrator.faces.folder import read_face_folder
from orchestrator.faces.synthetic import PREFIX, read_synthetic_faces


def read_data_set(text: str) -> DataSet:
    """A folder of identity folders, or the people that `synthetic:` stands for.

    Raises:
        InputError: it is neither.
    """
    if text.startswith(PREFIX):
        return read_synthetic_faces(text)
    return read_face_folder(Path(os.path.expanduser(text)))  # noqa: PTH111 - leaves the home of an unknown user as it is
