"""How many queries each client has had, kept where a restart gives nobody new ones."""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

from rpc.errors import NEVER_AGAIN, QUERY_BUDGET_SPENT, DeidRpcError, ServiceError

_LOCK_SECONDS = 1.0
_SCHEMA = "CREATE TABLE IF NOT EXISTS queries (client TEXT PRIMARY KEY, used INTEGER NOT NULL) STRICT"
_CHARGE = """
    INSERT INTO queries VALUES (:client, 1)
    ON CONFLICT (client) DO UPDATE SET used = used + 1 WHERE :budget IS NULL OR used < :budget
    RETURNING used
"""


class LedgerError(DeidRpcError):
    """The ledger's file or database cannot be used."""


class Ledger(ABC):
    """Counts the queries of every client, and refuses those beyond the budget. For one event loop.

    A query is charged, and the charge committed, before it is computed: a service that is killed has never answered one for
    nothing. What it had charged and not answered is lost to the client, at most the queries that were under way.
    """

    @asynccontextmanager
    async def charged(self, client: str) -> AsyncIterator[int | None]:
        """Charges a query while the context lasts, and for good unless it ends with an error; gives what `charge` returns.

        A client that leaves before it is answered has had the computation, and is charged.

        Raises:
            ServiceError: see `charge`.
        """
        left = await self.charge(client)
        try:
            yield left
        except Exception:  # whatever it was, nothing was answered
            await self.refund(client)
            raise

    @abstractmethod
    async def charge(self, client: str) -> int | None:
        """Counts a query, and returns how many are left to the client; None where there is no budget.

        Raises:
            ServiceError: RESOURCE_EXHAUSTED: the client's budget is spent, or nothing can be counted now.
        """

    @abstractmethod
    async def refund(self, client: str) -> None:
        """Takes a charge back, if it can be: the query was refused after all."""

    @abstractmethod
    async def left(self, client: str) -> int | None:
        """Queries that a client has left; None where there is no budget.

        Raises:
            ServiceError: RESOURCE_EXHAUSTED: it cannot be told now.
        """

    @abstractmethod
    def close(self) -> None:
        """Nothing is counted any more."""


def budget_spent(budget: int | None) -> ServiceError:
    """The refusal of a query beyond the budget."""
    return ServiceError(
        f"the budget of {budget} queries is spent",
        code=grpc.StatusCode.RESOURCE_EXHAUSTED,
        reason=QUERY_BUDGET_SPENT,
        retry_after_ms=NEVER_AGAIN,
    )


class QueryLedger(Ledger):
    """One in a file."""

    def __init__(self, path: Path | None, *, budget: int | None) -> None:
        """In memory where there is no path. `budget` is the most queries of each client; None sets no bound.

        Raises:
            LedgerError: the file cannot be opened, or is no ledger.
        """
        self._budget = budget
        self._path = path
        try:
            if path is not None:
                path.touch(mode=0o600)
            # Each statement commits itself. Nobody else writes; who waits for a lock keeps everybody waiting.
            self._database = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=_LOCK_SECONDS)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")  # only a power cut can forget, and then moments
            self._database.execute(_SCHEMA)
            self._database.execute("SELECT client, used FROM queries LIMIT 0")  # fails for a table of another program
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(f"--ledger: {path}: expected a file that can be written, got: {error}") from error

    async def charge(self, client: str) -> int | None:
        rows = self._database.execute(_CHARGE, {"client": client, "budget": self._budget}).fetchall()
        if not rows:
            raise budget_spent(self._budget)
        return None if self._budget is None else self._budget - int(rows[0][0])

    async def refund(self, client: str) -> None:
        self._database.execute("UPDATE queries SET used = used - 1 WHERE client = ? AND used > 0", (client,))

    async def left(self, client: str) -> int | None:
        if self._budget is None:
            return None
        row = self._database.execute("SELECT used FROM queries WHERE client = ?", (client,)).fetchone()
        return max(0, self._budget - (row[0] if row else 0))

    def close(self) -> None:
        self._database.close()
