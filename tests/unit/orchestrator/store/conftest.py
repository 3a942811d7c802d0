"""Every store test runs on a SQLite file and on a PostgreSQL database."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from orchestrator.store.store import Store
from tests.support.postgres import Cluster
from tests.support.store_places import Place


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A place where no store is yet."""
    if request.param == "sqlite":
        place = Place(tmp_path / "observations.sqlite")
    else:
        cluster: Cluster = request.getfixturevalue("postgres")
        place = Place(cluster.new_database())
    yield place
    place.close()


@pytest.fixture
def store(place: Place) -> Store:
    return place.store()


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Store]]:
    """Opens SQLite files, and closes them at the end."""
    with ExitStack() as stack:

        def open_store(path: Path, **settings: Any) -> Store:
            store = Store(path, run="r", **settings)
            stack.callback(store.close)
            return store

        yield open_store
