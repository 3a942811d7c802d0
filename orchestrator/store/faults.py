"""What a database complains of, in words that say what to do."""

import sqlite3

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

LOCK_SECONDS = 30.0  # how long a change waits for one of another process

_SAFE = "what was recorded before is safe, and the same command goes on"

# By the names that SQLite gives its errors; sqlite.org/rescode.html.
_OF_SQLITE = {
    "SQLITE_BUSY": f"another process keeps it locked, for longer than it should; end that process, or wait for it: {_SAFE}",
    "SQLITE_FULL": f"the disk is full; make room: {_SAFE}",
    "SQLITE_IOERR": f"the disk cannot be read or written; see to it, and to its free space: {_SAFE}",
    "SQLITE_READONLY": "it may not be written; make the file and its folder writable for this user",
    "SQLITE_CANTOPEN": "expected a file in a folder that this user can read and write",
    "SQLITE_NOTADB": "expected the SQLite file of a store; move it away, or name another",
    "SQLITE_CORRUPT": "it is damaged; put back a copy, or move it away and begin anew",
}
# By class or code; postgresql.org/docs/current/errcodes-appendix.html.
_OF_POSTGRESQL = {
    "53100": f"the server's disk is full; make room: {_SAFE}",
    "25006": "the server or the database is read-only; name one that can be written",
    "42501": "this user may not read, change and create tables there; grant it, or name another user",
}
_REFUSED = "the database cannot hold a value that was to be recorded; nothing of what was recorded beside it is lost"
_TRANSIENT = (
    "40001",  # serialization failure
    "40P01",  # deadlock
    "53300",  # too many connections
    "55P03",  # lock timeout
    "57P01",  # the server is being shut down,
    "57P02",  # has crashed,
    "57P03",  # is starting
    "25P03",  # idle in a transaction: this process had been stopped
)


def explained(error: SQLAlchemyError) -> str:
    """The database's own words, and what to do where that is known."""
    if not isinstance(error, DBAPIError):
        return str(error)
    own = " ".join(str(error.orig).split())  # of several lines, with PostgreSQL's
    advice = _REFUSED if isinstance(error, DataError | IntegrityError) else _advice(error.orig)
    return f"{own}: {advice}" if advice else own


def is_transient(error: SQLAlchemyError) -> bool:
    """Whether a server failed that may be back soon, so that the same can be tried again."""
    if isinstance(error, PoolTimeoutError):
        return True
    if not isinstance(error, DBAPIError) or isinstance(error.orig, sqlite3.Error):
        return False
    state = _state(error.orig)
    is_lost = state is None and type(error.orig).__name__ == "OperationalError"  # a connection, or it cannot be made
    return error.connection_invalidated or is_lost or state in _TRANSIENT


def is_unavailable(error: SQLAlchemyError) -> bool:
    """Whether the disk or the database fails for good, so that nothing else can be written either."""
    return isinstance(error, DBAPIError) and _advice(error.orig) is not None


def _advice(error: BaseException | None) -> str | None:
    if isinstance(error, sqlite3.Error):
        name = getattr(error, "sqlite_errorname", "")
        return next((advice for known, advice in _OF_SQLITE.items() if name.startswith(known)), None)
    return _OF_POSTGRESQL.get(_state(error) or "")


def _state(error: BaseException | None) -> str | None:
    state: str | None = getattr(error, "sqlstate", None)
    return state
