"""Which tests run where."""

import os
from pathlib import Path

import pytest

# Before torch is imported: threads that wait by spinning take the cores of the services that tests start.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

REAL = "DEID_REAL"
DEPLOYMENT = "DEID_DEPLOYMENT"

# What switches a marker's tests on, and what is said where it does not.
SWITCHES = {
    "real": (REAL, "does not name a folder of real photographs and full-size checkpoints (CONTRIBUTING.md)"),
    "deployment": (DEPLOYMENT, "is not set: NOTHING OF THE DOCKER DEPLOYMENT WAS TESTED (CONTRIBUTING.md)"),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for marker, (variable, absence) in SWITCHES.items():
        if not os.environ.get(variable):
            skip = pytest.mark.skip(reason=f"{variable} {absence}")
            for item in items:
                if marker in item.keywords:
                    item.add_marker(skip)


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real photographs (faces/) and full-size checkpoints (checkpoints/)."""
    return Path(os.environ[REAL])
