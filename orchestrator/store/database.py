"""Transactions on SQLite or PostgreSQL, and what is done where one fails."""

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool
from sqlalchemy.schema import Table

from orchestrator.outages import OUTAGE_TIMEOUT_SECONDS
from orchestrator.store.errors import StoreError, StoreUnavailableError
from orchestrator.store.faults import LOCK_SECONDS, explained, is_transient, is_unavailable
from orchestrator.store.location import store_name, store_url
from orchestrator.store.outage import MIN_WAIT_SECONDS, Outage, OutageTimeout

# A server behind a broken network is noticed, and a process that was stopped in the middle of a transaction keeps nobody
# waiting for ever. What the URL says of these counts.
_OF_CONNECTIONS: dict[str, Any] = {
    "connect_timeout": 5,  # seconds
    "keepalives_idle": 10,  # seconds
    "keepalives_interval": 5,  # seconds
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # ms
    "options": f"-c lock_timeout={LOCK_SECONDS:.0f}s -c idle_in_transaction_session_timeout=60s",
}

T = TypeVar("T")


class Database:
    """Runs pieces of work, each a transaction of its own, from any thread.

    A server that is away is waited for: a piece of work is then run again from its beginning, even where its commit may have
    been made and only the answer was lost. So every piece of work must be one that changes nothing when it is done twice.
    """

    def __init__(
        self,
        location: Path | str,
        *,
        outage_timeout: float = OUTAGE_TIMEOUT_SECONDS,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Connects to nothing yet. `outage_timeout`: seconds that a server may be away; `note`: see `OutageTimeout`.

        Raises:
            InputError: see `store_url`.
        """
        url = store_url(location)
        self.name = store_name(location)  # without a password
        self.is_shared = url.get_backend_name() == "postgresql"
        self._outage_timeout = OutageTimeout(self.name, seconds=outage_timeout, note=note)
        self.without_waiting = self._outage_timeout.suspension
        self._url = url
        self.read_only = False  # whether it is a file that may not be written
        self._engine = self._postgresql() if self.is_shared else self._sqlite()
        self._writing = self._engine.execution_options(writing=True)

    @property
    def exists(self) -> bool:
        """Whether there is something to connect to: connecting makes a SQLite file that is not there."""
        return self.is_shared or Path(str(self._url.database)).is_file()

    def read(self, work: Callable[[Connection], T]) -> T:
        """What the work returns.

        Raises:
            StoreError: it cannot be read.
        """
        return self._run(self._engine, work)

    def write(self, work: Callable[[Connection], T]) -> T:
        """What the work returns, once it is committed; nothing of it is where it raises.

        Raises:
            StoreError: it cannot be written.
        """
        return self._run(self._writing, work)

    def close(self) -> None:
        """Closes all connections; nobody waits for a server any more."""
        self._outage_timeout.suspend()
        self._engine.dispose()

    def _run(self, engine: Engine, work: Callable[[Connection], T]) -> T:
        outage = Outage(self._outage_timeout)
        while True:
            try:
                with engine.begin() as connection:
                    done = work(connection)
            except SQLAlchemyError as error:
                if not is_transient(error):
                    kind = StoreUnavailableError if is_unavailable(error) else StoreError
                    raise kind(f"{self.name}: {explained(error)}") from error
                outage.wait(error)
            else:
                outage.end()
                return done

    def _postgresql(self) -> Engine:
        settings = {name: value for name, value in _OF_CONNECTIONS.items() if name not in self._url.query}
        return create_engine(self._url, connect_args=settings, pool_pre_ping=True)

    def _sqlite(self) -> Engine:
        path = Path(str(self._url.database))
        self.read_only = path.is_file() and not (_may_write(path) and _may_write(path.parent))
        engine = create_engine(self._url, creator=lambda: _connected(path, read_only=self.read_only), poolclass=QueuePool)
        event.listen(engine, "begin", _begin)
        return engine


def insert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An insertion that can say what is done where a key is there already."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def _may_write(path: Path) -> bool:
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _connected(path: Path, *, read_only: bool) -> sqlite3.Connection:
    name = f"{path.absolute().as_uri()}?{_reading(path)}" if read_only else str(path)
    # No isolation level: transactions begin where `_begin` says; sqlite3 itself would begin them after the first reads.
    connection = sqlite3.connect(name, timeout=LOCK_SECONDS, isolation_level=None, check_same_thread=False, uri=read_only)
    if read_only:
        return connection
    try:
        if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            _use_write_ahead_log(connection)
        # Commits are few, since whatever waits is committed together, so that each can wait for the disk: what was recorded
        # outlives a power cut too. With NORMAL it would not, and cloaks that were shown would be shown again.
        connection.execute("PRAGMA synchronous = FULL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Changes the file for good; SQLite does not wait where another process does the same just now."""
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        else:
            return
        time.sleep(MIN_WAIT_SECONDS)


def _reading(path: Path) -> str:
    """A file that was closed in order is read as it is; beside others lies a log that has to be read too."""
    log = path.with_name(f"{path.name}-wal")
    return "mode=ro" if log.exists() and log.stat().st_size else "immutable=1"


def _begin(connection: Connection) -> None:
    # A change that began as a read could not wait for another's.
    writing = connection.get_execution_options().get("writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
