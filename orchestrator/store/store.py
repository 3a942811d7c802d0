"""What one run observed, in SQL. Writing the same thing twice changes nothing."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, exists, func, select

from orchestrator.experiment.cloak import CloakRecord, PhotoBox, Quality
from orchestrator.experiment.condition import Condition
from orchestrator.experiment.grid import CONTROL, Cell, CloakKey
from orchestrator.metrics.matrix import RankMatrix
from orchestrator.metrics.non_mated import NonMatedSearch
from orchestrator.metrics.observation import Observation, Outcome
from orchestrator.outages import OUTAGE_TIMEOUT_SECONDS
from orchestrator.store.changes import Change
from orchestrator.store.crafting import CraftingSummary, crafting_summaries
from orchestrator.store.database import Database, insert
from orchestrator.store.errors import StoreUnavailableError
from orchestrator.store.leases import Leases
from orchestrator.store.matrix import rank_matrix
from orchestrator.store.records import Failure, NamedRun, ObservationCounts, Subject, SubjectStatus
from orchestrator.store.schema import (
    CLOAK_KEY,
    cloaks,
    failures,
    non_mated,
    observations,
    open_schema,
    reached,
    runs,
    subjects,
)


class Store:
    """One run's part of a SQLite file (write-ahead log) or of a PostgreSQL database. Any thread may use it."""

    def __init__(
        self,
        location: Path | str,
        *,
        run: str,
        create: bool = True,
        outage_timeout: float = OUTAGE_TIMEOUT_SECONDS,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Opens it, and makes its tables where there are none.

        Args:
            location: a SQLite file, or a URL: `sqlite:///…` or `postgresql+psycopg://…`.
            run: the digest of the run's plan.
            create: whether tables are made where there are none; else that is an error.
            outage_timeout: seconds that a server may be away before an operation fails. Opening waits for none, so that a
                wrong address is told at once.
            note: is told of a server that is away that it is waited for, and that it is back; by whatever thread waits.

        Raises:
            InputError: `--store` names no database that can be one.
            StoreError: it cannot be opened, or is of another version.
        """
        self._run = run
        self._database = Database(location, outage_timeout=outage_timeout, note=note)
        self.leases = Leases(self._database, run)
        self.name = self._database.name
        self.read_only = self._database.read_only
        self.without_waiting = self._database.without_waiting
        self.close = self._database.close
        try:
            with self.without_waiting():
                open_schema(self._database, create=create)
        except BaseException:
            self.close()
            raise

    def bind(self, name: str, manifest: Mapping[str, Any]) -> NamedRun:
        """Records the manifest that the run begins with, once.

        Returns:
            what is recorded for this run; where that is nothing, what is for another run of that name, which is then not
            this one.
        """
        row = {"run": self._run, "name": name, "manifest": json.dumps(manifest, ensure_ascii=False)}

        def recorded(connection: Connection) -> NamedRun:
            connection.execute(insert(connection, runs).values(row).on_conflict_do_nothing())
            of_run, of_name = (select(runs).where(each) for each in (runs.c.run == self._run, runs.c.name == name))
            found = connection.execute(of_run).first() or connection.execute(of_name).one()
            return NamedRun(found.name, json.loads(found.manifest))

        return self._database.write(recorded)

    def holds_run(self) -> bool:
        """Whether the run began here."""
        began = select(exists().where(runs.c.run == self._run))
        return self._database.read(lambda connection: bool(connection.scalar(began)))

    def write(self, *together: Change) -> None:
        """Makes changes in one transaction: all of them, or none where it raises.

        Raises:
            StoreError: one of them cannot be made.
        """

        def all_of_them(connection: Connection) -> None:
            for change in together:
                change(connection, self._run)

        self._database.write(all_of_them)

    def commit(self, together: Sequence[Change]) -> list[Exception | None]:
        """Makes changes in one transaction. One that cannot be made keeps none of the others from being made.

        Where one cannot, each is made in a transaction of its own, as long as the database can be written at all.

        Returns:
            for each what kept it from being made, or None.
        """
        try:
            self.write(*together)
        except Exception as error:  # noqa: BLE001 - handed to whoever wanted the change
            if isinstance(error, StoreUnavailableError) or len(together) == 1:
                return [error] * len(together)
        else:
            return [None] * len(together)
        outcomes: list[Exception | None] = []
        for change in together:
            last = outcomes[-1] if outcomes else None
            outcomes += [last] if isinstance(last, StoreUnavailableError) else self.commit([change])
        return outcomes

    def subject(self, identity: str) -> Subject | None:
        """An identity, if it was drawn."""
        found = self._rows(select(subjects).where(subjects.c.run == self._run, subjects.c.identity == identity))
        return _subject(found[0]) if found else None

    def subjects(self) -> list[Subject]:
        """Every identity that was drawn, sorted by name."""
        query = select(subjects).where(subjects.c.run == self._run).order_by(subjects.c.identity)
        return [_subject(row) for row in self._rows(query)]

    def failures(self) -> list[Failure]:
        """The calls that failed for good, in their order."""
        query = select(failures).where(failures.c.run == self._run).order_by(failures.c.number)
        return [Failure(row.probe, row.what, row.message) for row in self._rows(query)]

    def observations(self, *, probe: str | None = None) -> list[Observation]:
        """All observations, or those of one probe."""
        at: dict[tuple[str, Cell], dict[str, int]] = {}
        for row in self._rows(self._of_probe(reached, probe)):
            at.setdefault((row.probe, _cell(row)), {})[row.threshold] = row.candidates
        return [
            Observation(
                row.probe,
                (cell := _cell(row)),
                Outcome(row.outcome),
                row.rank,
                row.candidates,
                at.get((row.probe, cell), {}),
            )
            for row in self._rows(self._of_probe(observations, probe))
        ]

    def observation_counts(self) -> ObservationCounts:
        """How far the run is, without reading its observations."""
        of_run, table = subjects.c.run == self._run, observations.c
        done = select(func.count()).select_from(subjects).where(of_run, subjects.c.status == SubjectStatus.SUBJECT.value)
        of_probes = select(func.count()).select_from(observations).where(table.run == self._run)
        seen, unfinished = (
            of_probes.where(table.probe.in_(self._photos(status))) for status in (SubjectStatus.SUBJECT, SubjectStatus.BEGUN)
        )
        query = (table[name] for name in (*CLOAK_KEY, "condition"))
        each_query = select(*query).where(table.run == self._run).distinct().subquery()
        shown, searched = (
            select(*(non_mated.c[name] for name in names)).where(non_mated.c.run == self._run).distinct().subquery()
            for names in (("photo", "condition"), ("photo", "condition", "target_model"))
        )
        of_each = (select(func.count()).select_from(each) for each in (each_query, shown, searched))
        queries = done, seen, unfinished, *of_each
        counts = self._database.read(lambda connection: [connection.scalar(query) or 0 for query in queries])
        return ObservationCounts(*counts)

    def answers(self, *, probe: str) -> dict[Cell, str]:
        """Whom each target model took the cloaks of a probe for."""
        query = select(observations).where(observations.c.run == self._run, observations.c.probe == probe)
        return {_cell(row): row.answer for row in self._rows(query.where(observations.c.answer.is_not(None)))}

    def cloaks(self, *, probe: str | None = None) -> list[CloakRecord]:
        """The cloaks of a probe that were crafted before, or those of all of the run's subjects, probe by probe."""
        table = cloaks.c
        wanted = table.probe.in_(self._photos(SubjectStatus.SUBJECT)) if probe is None else table.probe == probe
        query = select(cloaks).where(table.run == self._run, wanted).order_by(*(table[name] for name in CLOAK_KEY))
        return [_cloak(row) for row in self._rows(query)]

    def boxes(self) -> list[PhotoBox]:
        """Where the controls of the run's subjects lie in their photos; none of crops."""
        table = cloaks.c
        control = table.method == CONTROL, table.left.is_not(None), table.probe.in_(self._photos(SubjectStatus.SUBJECT))
        return [_box(row) for row in self._rows(select(cloaks).where(table.run == self._run, *control))]

    def crafting_summaries(self, *, stalled_above: float) -> dict[CloakKey, CraftingSummary]:
        """How the cloaks of the run's subjects were crafted; `stalled_above`: a share of zero gradients, 0..1."""
        photos = self._photos(SubjectStatus.SUBJECT)
        return self._database.read(
            lambda connection: crafting_summaries(connection, run=self._run, probes=photos, stalled_above=stalled_above)
        )

    def rank_matrix(self, threshold: str | None = None) -> RankMatrix:
        """All observations of the run's subjects; those of an identity that was replaced after all do not count.

        No observation becomes an object of its own, so that a million are read in seconds.

        Args:
            threshold: at which the ranks are read, of the target models that have it: one that does not reach it is BEYOND.
        """
        photos = self._photos(SubjectStatus.SUBJECT)
        return self._database.read(
            lambda connection: rank_matrix(connection, run=self._run, probes=photos, threshold=threshold)
        )

    def non_mated(self, *, photo: str | None = None) -> list[NonMatedSearch]:
        """All searches of people who are not enrolled, photo by photo, or those by one photo."""
        table = non_mated.c
        key = (table.photo, table.condition, table.target_model, table.threshold)
        query = select(*key, table.face_found, table.reached).where(table.run == self._run).order_by(*key)
        if photo is not None:
            query = query.where(table.photo == photo)
        return [
            NonMatedSearch(
                row.photo, _condition(row.condition), row.target_model, row.threshold, row.face_found, row.reached
            )
            for row in self._rows(query)
        ]

    def _of_probe(self, table: Table, probe: str | None) -> Select[Any]:
        query = select(table).where(table.c.run == self._run)
        return query if probe is None else query.where(table.c.probe == probe)

    def _photos(self, status: SubjectStatus) -> Select[tuple[str]]:
        return select(subjects.c.photo).where(subjects.c.run == self._run, subjects.c.status == status.value)

    def _rows(self, query: Select[Any]) -> Sequence[Row[Any]]:
        return self._database.read(lambda connection: connection.execute(query).all())


def _subject(row: Row[Any]) -> Subject:
    return Subject(row.identity, row.photo, row.photo_sha256, SubjectStatus(row.status))


def _cell(row: Row[Any]) -> Cell:
    return Cell(row.source_model, row.method, row.epsilon, _condition(row.condition), row.target_model)


_condition = cache(Condition.parse)  # of few texts, in a million rows


def _box(row: Row[Any]) -> PhotoBox:
    return PhotoBox(*(getattr(row, name) for name in PhotoBox._fields))


def _cloak(row: Row[Any]) -> CloakRecord:
    return CloakRecord(
        probe=row.probe,
        key=CloakKey(row.source_model, row.method, row.epsilon),
        n_iter=row.n_iter,
        gradients=row.gradients,
        forward_passes=row.forward_passes,
        largest_change=row.largest_change,
        zero_gradient_share=row.zero_gradient_share,
        probe_sha256=row.probe_sha256,
        sha256=row.cloak_sha256,
        quality=None if row.ssim is None else Quality(row.ssim, row.psnr),
        box=None if row.left is None else _box(row),
    )
