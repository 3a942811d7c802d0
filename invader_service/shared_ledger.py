"""A ledger that replicas share, in a database of the invader's own."""

import logging

from invader_service.database import SharedDatabase
from invader_service.ledger import Ledger, budget_spent
from rpc.errors import ServiceError

logger = logging.getLogger(__name__)

# One statement, which locks the client's row: whatever other replicas charge meanwhile is counted before it or after it.
_CHARGE = """
    INSERT INTO queries AS known VALUES (%(client)s, 1)
    ON CONFLICT (client) DO UPDATE SET used = known.used + 1 WHERE %(budget)s::bigint IS NULL OR known.used < %(budget)s
    RETURNING used
"""
_REFUND = "UPDATE queries SET used = used - 1 WHERE client = %(client)s AND used > 0"
_USED = "SELECT used FROM queries WHERE client = %(client)s"


class SharedQueryLedger(Ledger):
    """One in a database. A database that is away refuses queries for the moment: nothing is answered uncharged."""

    def __init__(self, database: SharedDatabase, *, budget: int | None) -> None:
        """`budget` is the most queries of each client, of all replicas together; None sets no bound."""
        self._database = database
        self._budget = budget

    async def charge(self, client: str) -> int | None:
        row = await self._database.row(_CHARGE, client=client.encode(), budget=self._budget)
        if row is None:
            raise budget_spent(self._budget)
        return None if self._budget is None else self._budget - int(row[0])

    async def refund(self, client: str) -> None:
        try:
            await self._database.row(_REFUND, client=client.encode())
        except ServiceError:  # why the query was refused is the client's to know, and not this
            logger.warning("a query that was refused stays charged")

    async def left(self, client: str) -> int | None:
        if self._budget is None:
            return None
        row = await self._database.row(_USED, client=client.encode())
        return max(0, self._budget - (row[0] if row else 0))

    def close(self) -> None:
        self._database.close()
