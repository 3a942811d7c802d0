"""Every store test runs on a SQLite file and on a PostgreSQL database."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from orchestrator.store import Store
from tests.support.postgres import Cluster


class Place:
    """Where a store can be, and what is there in plain SQL."""

    def __init__(self, location: Path | str) -> None:
        self.location = location
        self.is_server = isinstance(location, str)
        self._opened = ExitStack()

    def store(self, *, run: str = "r", **settings: Any) -> Store:
        """Opened, and closed at the end."""
        store = Store(self.location, run=run, **settings)
        self._opened.callback(store.close)
        return store

    def close(self) -> None:
        self._opened.close()

    def sql(self, *statements: str) -> Sequence[tuple[Any, ...]]:
        """The rows of the last statement."""
        if isinstance(self.location, Path):
            with closing(sqlite3.connect(self.location, isolation_level=None)) as database:
                return [database.execute(statement) for statement in statements][-1].fetchall()
        import psycopg

        with psycopg.connect(self.location.replace("+psycopg", ""), autocommit=True) as connection:
            cursors = [connection.execute(statement) for statement in statements]
            return cursors[-1].fetchall() if cursors[-1].description else []


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
