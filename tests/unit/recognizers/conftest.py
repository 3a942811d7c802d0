"""What tests of checkpoint files share."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder() -> Iterator[Path]:
    """Removed at once: a full-size checkpoint has a hundred megabytes."""
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)
