"""Where a store can be: a SQLite file, or a PostgreSQL database."""

import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from orchestrator.store.store import Store


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
