"""Which tests run where."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.postgres import Cluster, running_cluster

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


Tell = Callable[[str], None]


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Tell:
    """Shows a figure that a test measured, whether it passes or not."""

    def shown(sentence: str) -> None:
        with capsys.disabled():
            print(f"\n{sentence}")  # noqa: T201

    return shown


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real photographs (faces/) and full-size checkpoints (checkpoints/)."""
    return Path(os.environ[REAL])


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL server; one for all tests, so each takes a database of its own."""
    with running_cluster() as cluster:
        yield cluster
