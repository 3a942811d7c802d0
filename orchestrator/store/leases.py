"""The order of the draw, and who works on which identity of it.

A lease lasts a short while and is renewed by whoever holds it, so that what a dead process was working on is taken up by
another. Times are those of the database's clock, since clocks of several machines differ; with a SQLite file, which is for
one machine, they are its own. A clock that jumped back does not make a lease eternal: one that would last for longer than
leases do, and then some, has expired.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from uuid import uuid4

from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    FromClause,
    cast,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    update,
)

from orchestrator.store.database import Database
from orchestrator.store.errors import StoreError
from orchestrator.store.records import REPLACED, SubjectStatus
from orchestrator.store.schema import draw, subjects

LEASE_SECONDS = 30.0


@dataclass(frozen=True)
class Leases:
    """Those of one run."""

    database: Database
    run: str
    seconds: float = LEASE_SECONDS
    clock: Callable[[], float] = time.time  # seconds since 1970; of a SQLite file

    def draw(self, identities: Sequence[str]) -> None:
        """Records the order of the draw, once.

        Raises:
            StoreError: another order is recorded.
        """
        recorded = self.database.write(lambda connection: self._recorded_draw(connection, identities))
        if recorded != list(identities):
            pairs = enumerate(zip_longest(recorded, identities))
            place, (before, now) = next((place, pair) for place, pair in pairs if pair[0] != pair[1])
            raise StoreError(
                f"{self.database.name}: another draw is recorded for this run: {len(recorded)} identities with {before!r} "
                f"at place {place}, now {len(identities)} with {now!r}; a run is bound to its data set and label sets"
            )

    def claim(self, *, wanted: int, holder: str, dead: Collection[str] = ()) -> str | None:
        """Takes the lease of the next identity to work on; None where nobody needs to begin another now.

        It is the first in the draw that is not done and nobody holds, among as many as it takes for `wanted` of them to
        have a face.
        """
        call = uuid4().hex
        return self.database.write(lambda connection: self._claim(connection, wanted, holder, dead, call))

    def outstanding(self, *, wanted: int) -> int:
        """How many of the same identities are not done, whoever holds them."""
        query = select(func.count()).select_from(draw).where(*self._open(wanted))
        return self.database.read(lambda connection: connection.scalar(query) or 0)

    def renew(self, *, holder: str) -> frozenset[str]:
        """Renews all leases of a holder; the identities that it still holds."""
        theirs = update(draw).where(draw.c.run == self.run, draw.c.holder == holder).returning(draw.c.identity)

        def renewed(connection: Connection) -> frozenset[str]:
            return frozenset(connection.scalars(theirs.values(expires=self._now() + self.seconds)))

        return self.database.write(renewed)

    def release(self, *, holder: str, identity: str | None = None) -> None:
        """Gives one lease of a holder back, or all."""
        statement = update(draw).where(draw.c.run == self.run, draw.c.holder == holder)
        if identity is not None:
            statement = statement.where(draw.c.identity == identity)
        self.database.write(lambda connection: connection.execute(statement.values(holder=None, expires=None, claim=None)))

    def holders(self) -> frozenset[str]:
        """Who holds a lease, that has not expired, of an identity that is not done."""
        query = select(draw.c.holder).distinct().where(draw.c.run == self.run, draw.c.due, ~self._free())
        return self.database.read(lambda connection: frozenset(connection.scalars(query)))

    def _recorded_draw(self, connection: Connection, identities: Sequence[str]) -> list[str]:
        query = select(draw.c.identity).where(draw.c.run == self.run).order_by(draw.c.place)
        recorded = list(connection.scalars(query))
        if recorded or not identities:
            return recorded
        if self.database.is_shared:  # who writes to a SQLite file is alone
            connection.execute(text("LOCK TABLE draw IN SHARE ROW EXCLUSIVE MODE"))
            recorded = list(connection.scalars(query))
        if not recorded:
            rows = [
                {"run": self.run, "place": place, "identity": identity, "due": True}
                for place, identity in enumerate(identities)
            ]
            connection.execute(insert(draw), rows)
        return recorded or list(identities)

    def _claim(self, connection: Connection, wanted: int, holder: str, dead: Collection[str], call: str) -> str | None:
        # Where the answer to a commit was lost, the identity that it gave is given again.
        given: str | None = connection.scalar(select(draw.c.identity).where(draw.c.run == self.run, draw.c.claim == call))
        if given is not None:
            return given
        query = (
            select(draw.c.place, draw.c.identity)
            .where(*self._open(wanted), or_(self._free(), draw.c.holder.in_(dead)))
            .order_by(draw.c.place)
            .limit(1)
            .with_for_update(skip_locked=True)  # on PostgreSQL; a change of a SQLite file is alone
        )
        row = connection.execute(query).first()
        if row is None:
            return None
        lease = {"holder": holder, "expires": self._now() + self.seconds, "claim": call}
        connection.execute(update(draw).where(draw.c.run == self.run, draw.c.place == row.place).values(lease))
        identity: str = row.identity
        return identity

    def _open(self, wanted: int) -> tuple[ColumnElement[bool], ...]:
        """The identities that are not done, up to the place at which `wanted` were not replaced."""
        assert wanted > 0
        counted = draw.alias("counted")
        last = (
            select(counted.c.place)
            .where(counted.c.run == self.run, ~_status_in(REPLACED, counted))
            .order_by(counted.c.place)
            .limit(1)
            .offset(wanted - 1)
        )
        horizon = func.coalesce(last.scalar_subquery(), draw.c.place)  # all, where there are not so many
        return draw.c.run == self.run, draw.c.place <= horizon, draw.c.due

    def _free(self) -> ColumnElement[bool]:
        now = self._now()
        jumped_back = draw.c.expires > now + 2 * self.seconds  # by more than what clocks are set right by
        return or_(draw.c.holder.is_(None), draw.c.expires <= now, jumped_back)

    def _now(self) -> ColumnElement[float]:
        if self.database.is_shared:
            return cast(func.extract("epoch", func.clock_timestamp()), Float)
        return literal(self.clock())


def _status_in(statuses: Collection[SubjectStatus], drawn: FromClause) -> ColumnElement[bool]:
    there = subjects.c.run == drawn.c.run, subjects.c.identity == drawn.c.identity
    return exists().where(*there, subjects.c.status.in_([status.value for status in statuses])).correlate(drawn)
