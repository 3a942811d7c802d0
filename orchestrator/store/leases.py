"""The order of the draw, and who works on which identity of it.

A lease lasts a short while and is renewed by its owner, so that what a killed process was working on is taken up by
another. Times are those of the database's clock, since clocks of several machines differ; with a SQLite file, which is for
one machine, they are its own. A clock that jumped back does not make a lease eternal: one that would last for longer than
leases do, and then some, has expired.
"""

import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, Float, cast, exists, func, literal, or_, select, update

from orchestrator.store.database import Database, insert
from orchestrator.store.errors import StoreError
from orchestrator.store.records import REPLACED, SubjectStatus
from orchestrator.store.schema import draw, observations, subjects

LEASE_SECONDS = 30.0


def new_owner() -> str:
    """A name that nobody else has, and that says whose it is to whoever looks into the database."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:12]}"


@dataclass(frozen=True)
class Leases:
    """Those of one run, and what one owner does with them."""

    database: Database
    run: str
    owner: str = field(default_factory=new_owner)
    seconds: float = LEASE_SECONDS
    clock: Callable[[], float] = time.time  # seconds since 1970; of a SQLite file

    def draw(self, identities: Sequence[str]) -> None:
        """Records the order of the draw, once.

        Raises:
            StoreError: another order is recorded.
        """
        rows = [
            {"run": self.run, "position": position, "identity": identity, "due": True}
            for position, identity in enumerate(identities)
        ]
        query = select(draw.c.identity).where(draw.c.run == self.run).order_by(draw.c.position)

        def record(connection: Connection) -> None:
            recorded = list(connection.scalars(query))
            if rows and not recorded:
                connection.execute(insert(connection, draw).on_conflict_do_nothing(), rows)  # another may be as fast
                recorded = list(connection.scalars(query))
            if recorded != list(identities):
                raise self._another_draw(recorded, identities)

        self.database.write(record)

    def claim(self, *, wanted: int) -> str | None:
        """Takes the lease of the next identity to work on; None where nobody needs to begin another now.

        It is the first in the draw that is not done and of which nobody has the lease, among as many as it takes for
        `wanted` of them to have a face. An owner may have several leases.
        """
        call = uuid4().hex
        return self.database.write(lambda connection: self._claim(connection, wanted, call))

    def outstanding(self, *, wanted: int) -> int:
        """How many of the same identities are not done, whoever has their leases."""
        query = select(func.count()).select_from(draw).where(*self._open(wanted))
        return self.database.read(lambda connection: connection.scalar(query) or 0)

    def renew(self) -> frozenset[str]:
        """Renews all leases of the owner; the identities whose leases it still has."""
        own = update(draw).where(draw.c.run == self.run, draw.c.owner == self.owner).returning(draw.c.identity)

        def renewed(connection: Connection) -> frozenset[str]:
            return frozenset(connection.scalars(own.values(expires=self._now() + self.seconds)))

        return self.database.write(renewed)

    def release(self, identity: str | None = None) -> None:
        """Gives one lease of the owner back, or all."""
        statement = update(draw).where(draw.c.run == self.run, draw.c.owner == self.owner)
        if identity is not None:
            statement = statement.where(draw.c.identity == identity)
        self.database.write(lambda connection: connection.execute(statement.values(owner=None, expires=None, claim=None)))

    def reopen_short(self, *, per_probe: int) -> None:
        """Has those subjects worked on again, and no others, that are short, so that what failed is asked for once more.

        They stay subjects meanwhile: what was observed of them counts.

        Args:
            per_probe: the observations that a subject has when it is not short.
        """
        table = observations.c
        whole = select(table.probe).where(table.run == self.run).group_by(table.probe).having(func.count() >= per_probe)
        done = select(subjects.c.identity).where(
            subjects.c.run == self.run, subjects.c.status == SubjectStatus.SUBJECT.value
        )
        is_short = draw.c.identity.in_(done.where(subjects.c.photo.not_in(whole)))
        reopened = update(draw).where(draw.c.run == self.run, draw.c.identity.in_(done)).values(due=is_short)
        self.database.write(lambda connection: connection.execute(reopened))

    def held(self) -> bool:
        """Whether anybody works on the run: has a lease, that has not expired, of an identity that is not done."""
        query = select(exists().where(draw.c.run == self.run, draw.c.due, ~self._free()))
        return self.database.read(lambda connection: bool(connection.scalar(query)))

    def _another_draw(self, recorded: Sequence[str], identities: Sequence[str]) -> StoreError:
        pairs = enumerate(zip_longest(recorded, identities))
        position, (before, now) = next((position, pair) for position, pair in pairs if pair[0] != pair[1])
        return StoreError(
            f"{self.database.name}: another draw is recorded for this run: {len(recorded)} identities with {before!r} at "
            f"position {position}, now {len(identities)} with {now!r}; a run is bound to its data set and label sets"
        )

    def _claim(self, connection: Connection, wanted: int, call: str) -> str | None:
        # Where the answer to a commit was lost, the identity that it gave is given again.
        given: str | None = connection.scalar(select(draw.c.identity).where(draw.c.run == self.run, draw.c.claim == call))
        if given is not None:
            return given
        query = (
            select(draw.c.position, draw.c.identity)
            .where(*self._open(wanted), self._free())
            .order_by(draw.c.position)
            .limit(1)
            .with_for_update(skip_locked=True)  # on PostgreSQL; a change of a SQLite file is alone
        )
        row = connection.execute(query).first()
        if row is None:
            return None
        lease = {"owner": self.owner, "expires": self._now() + self.seconds, "claim": call}
        connection.execute(update(draw).where(draw.c.run == self.run, draw.c.position == row.position).values(lease))
        identity: str = row.identity
        return identity

    def _open(self, wanted: int) -> tuple[ColumnElement[bool], ...]:
        """The identities that are not done, up to the position at which `wanted` were not replaced."""
        assert wanted > 0
        replaced = select(subjects.c.identity).where(
            subjects.c.run == self.run, subjects.c.status.in_([status.value for status in REPLACED])
        )
        counted = draw.alias("counted")
        last = (
            select(counted.c.position)
            .where(counted.c.run == self.run, counted.c.identity.not_in(replaced))
            .order_by(counted.c.position)
            .limit(1)
            .offset(wanted - 1)
        )
        horizon = func.coalesce(last.scalar_subquery(), draw.c.position)  # all, where there are not so many
        return draw.c.run == self.run, draw.c.position <= horizon, draw.c.due

    def _free(self) -> ColumnElement[bool]:
        now = self._now()
        jumped_back = draw.c.expires > now + 2 * self.seconds  # by more than what clocks are set right by
        return or_(draw.c.owner.is_(None), draw.c.expires <= now, jumped_back)

    def _now(self) -> ColumnElement[float]:
        if self.database.is_shared:
            return cast(func.extract("epoch", func.clock_timestamp()), Float)
        return literal(self.clock())
