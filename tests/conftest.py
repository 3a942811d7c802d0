"""Which tests run where."""

import os
from pathlib import Path

import pytest

# Before torch is imported: threads that wait by spinning take the cores of the services that tests start.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

REAL = "DEID_REAL"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get(REAL):
        return
    absent = pytest.mark.skip(
        reason=f"{REAL} does not name a folder of real photographs and full-size checkpoints (CONTRIBUTING.md)"
    )
    for item in items:
        if "real" in item.keywords:
            item.add_marker(absent)


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real photographs (faces/) and full-size checkpoints (checkpoints/)."""
    return Path(os.environ[REAL])
