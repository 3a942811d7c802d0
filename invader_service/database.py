"""A PostgreSQL database that replicas of one invader share: what one of them counts counts for all."""

import asyncio
import logging
from typing import TYPE_CHECKING, Any, LiteralString

if TYPE_CHECKING:
    import psycopg

from invader_service.ledger import LedgerError
from rpc.errors import busy

logger = logging.getLogger(__name__)

_SECONDS = 5.0  # in which a statement is answered, waiting for its turn and connecting included
_RETRY_AFTER_MS = 1_000
_OF_CONNECTIONS: dict[str, Any] = {
    "connect_timeout": 3,  # seconds
    "keepalives_idle": 5,  # seconds
    "keepalives_interval": 2,  # seconds
    "keepalives_count": 2,
    "tcp_user_timeout": 5_000,  # ms
    "options": "-c statement_timeout=4s -c lock_timeout=3s",
    "application_name": "invader-service",
}
_LOCK = 0x6465_6964  # "deid": of replicas that start at a time one makes the tables
# A client's name is bytes: PostgreSQL has no text with the character 0, which the name in a certificate may have.
_SCHEMA: tuple[LiteralString, ...] = (
    "CREATE TABLE IF NOT EXISTS queries (client bytea PRIMARY KEY, used bigint NOT NULL)",
    "CREATE TABLE IF NOT EXISTS rates (client bytea PRIMARY KEY, due bigint NOT NULL)",
    "SELECT client, used FROM queries LIMIT 0",  # these fail for tables of another program
    "SELECT client, due FROM rates LIMIT 0",
)

Row = tuple[Any, ...]


class SharedDatabase:
    """Runs one statement after another, each committed by itself. For the event loop that it is first asked in.

    A database that is away is connected to again by the next statement. What became of the statement that met the outage is
    not known then: it may have been committed.
    """

    def __init__(self, url: str) -> None:
        """Makes the tables where they are missing; waits for the database meanwhile.

        Raises:
            LedgerError: psycopg is not installed, or the database cannot be used; the message has no password.
        """
        try:
            import psycopg
            from psycopg.conninfo import conninfo_to_dict
        except ImportError as error:
            raise LedgerError(
                "--ledger: a PostgreSQL ledger needs psycopg, which is not installed: pip install "
                "'face-deid-bench[shared-ledger]'"
            ) from error
        try:
            asked = conninfo_to_dict("postgresql://" + url.partition("://")[2])
        except psycopg.Error:
            # No cause: its message may hold the password.
            raise LedgerError(
                "--ledger: expected postgresql+psycopg://USER:PASSWORD@HOST:PORT/DATABASE, got something else behind ://"
            ) from None
        self._settings = {**_OF_CONNECTIONS, **asked}
        self.name = f"{asked.get('host', 'localhost')}/{asked.get('dbname', '')}"
        self._connection: psycopg.AsyncConnection[Row] | None = None
        self._turn = asyncio.Lock()
        self._running: set[asyncio.Task[Row | None]] = set()
        try:
            with psycopg.connect(**self._settings) as connection:
                connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
                for statement in _SCHEMA:
                    connection.execute(statement)
        except psycopg.Error as error:
            own = " ".join(str(error).split())
            raise LedgerError(f"--ledger: {self.name}: expected a database that can be written, got: {own}") from error

    async def row(self, statement: LiteralString, **parameters: Any) -> Row | None:
        """The first row of a statement's result.

        A caller that is cancelled leaves the statement to its end.

        Raises:
            ServiceError: RESOURCE_EXHAUSTED, with the time to come back: the database does not answer.
        """
        running = asyncio.create_task(self._run(statement, parameters))
        self._running.add(running)
        running.add_done_callback(self._forget)
        return await asyncio.shield(running)

    def close(self) -> None:
        """Closes the connection without a word to the server, which rolls nothing back: every statement was committed."""
        if self._connection is not None:
            self._connection.pgconn.finish()

    async def _run(self, statement: LiteralString, parameters: dict[str, Any]) -> Row | None:
        import psycopg

        try:
            async with asyncio.timeout(_SECONDS), self._turn:
                connection = await self._connected()
                cursor = await connection.execute(statement, parameters)
                return await cursor.fetchone() if cursor.description else None
        except (psycopg.Error, OSError, TimeoutError) as error:
            state = getattr(error, "sqlstate", None)
            logger.warning("the ledger does not answer", extra={"error": type(error).__qualname__, "sqlstate": state})
            raise busy("the query ledger does not answer", retry_after_ms=_RETRY_AFTER_MS) from error

    async def _connected(self) -> "psycopg.AsyncConnection[Row]":
        import psycopg

        if self._connection is None or self._connection.closed:
            self._connection = await psycopg.AsyncConnection.connect(autocommit=True, **self._settings)
        return self._connection

    def _forget(self, running: asyncio.Task[Row | None]) -> None:
        self._running.discard(running)
        if not running.cancelled():
            running.exception()  # is seen, where the caller has left
