"""Folders on which permissions bind whoever runs the tests."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

NOBODY = 65534


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder of its own, and no right to write what permissions forbid."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # the way to others is closed to anybody else
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        if os.geteuid() == 0:
            shutil.chown(folder, NOBODY)
            stack.callback(os.seteuid, 0)
            os.seteuid(NOBODY)
        yield folder
        folder.chmod(0o700)
