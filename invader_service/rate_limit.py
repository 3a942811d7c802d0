"""How often a client may ask."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import LiteralString

import grpc

from invader_service.database import SharedDatabase
from rpc.errors import RATE_LIMITED, ServiceError

_SECOND, _MILLISECOND = 10**9, 10**6  # nanoseconds


# By the database's clock, which all replicas share. A query that is refused changes nothing.
_ADMIT: LiteralString = """
    WITH clock AS (SELECT (extract(epoch FROM clock_timestamp()) * 1000000000)::bigint AS now)
    INSERT INTO rates AS known SELECT %(client)s, now + %(interval)s FROM clock
    ON CONFLICT (client) DO UPDATE
        SET due = greatest(known.due, (SELECT now FROM clock)) + %(interval)s
        WHERE known.due - (SELECT now FROM clock) <= %(tolerance)s
    RETURNING due
"""
_EARLY: LiteralString = """
    SELECT due - (extract(epoch FROM clock_timestamp()) * 1000000000)::bigint - %(tolerance)s FROM rates
    WHERE client = %(client)s
"""


class RateLimiter(ABC):
    """Lets each client ask so many times a second on average, a second's worth of them at once.

    The generic cell rate algorithm (ITU-T I.371): a client's next query is due 1 / rate after its last was; it may come up
    to a second early. In whole nanoseconds, because rounded seconds would now and then refuse the last query of a burst,
    or one that comes back when it was told to.
    """

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._interval = int(_SECOND / per_second)
        self._tolerance = max(0, _SECOND - self._interval)

    @abstractmethod
    async def admit(self, client: str) -> None:
        """Counts a query that is asked now.

        Raises:
            ServiceError: RESOURCE_EXHAUSTED, with the time to come back: it came too early, and does not count.
        """

    def _refused(self, early: int) -> ServiceError:
        """The refusal of a query that came so many nanoseconds too early."""
        return ServiceError(
            f"at most {self._per_second:g} queries a second",
            code=grpc.StatusCode.RESOURCE_EXHAUSTED,
            reason=RATE_LIMITED,
            retry_after_ms=-(-early // _MILLISECOND),  # rounded up
        )


class RateLimit(RateLimiter):
    """That of one replica. For one thread."""

    def __init__(self, per_second: float, *, clock: Callable[[], int] = time.monotonic_ns) -> None:
        super().__init__(per_second)
        self._clock = clock
        self._due: dict[str, int] = {}

    async def admit(self, client: str) -> None:
        now = self._clock()
        due = max(now, self._due.get(client, now))
        early = due - now - self._tolerance
        if early > 0:
            raise self._refused(early)
        # Who has been silent for long needs no memory: a client that comes anew is due at once.
        self._due = {name: time for name, time in self._due.items() if time > now} | {client: due + self._interval}


class SharedRateLimit(RateLimiter):
    """That of all replicas together. What a client was admitted for stays in the database: one row a client."""

    def __init__(self, per_second: float, database: SharedDatabase) -> None:
        super().__init__(per_second)
        self._database = database

    async def admit(self, client: str) -> None:
        known = {"client": client.encode(), "tolerance": self._tolerance}
        if await self._database.row(_ADMIT, interval=self._interval, **known) is None:
            row = await self._database.row(_EARLY, **known)
            raise self._refused(max(_MILLISECOND, int(row[0]) if row else 0))
