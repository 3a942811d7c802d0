"""The observations of runs, in SQL. Writing the same thing twice changes nothing."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import (
    URL,
    Column,
    Connection,
    Engine,
    Float,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    case,
    create_engine,
    event,
    func,
    select,
)
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DBAPIError

from orchestrator.clients import Cloak
from orchestrator.errors import OrchestratorError
from orchestrator.metrics.matrix import BEYOND, NO_FACE, RankMatrix
from orchestrator.metrics.observation import Observation, Outcome
from orchestrator.protocol import Cell, CloakKey

ROWS_AT_ONCE = 50_000  # of observations, while they become an array

_schema = MetaData()

_cloak_key = ("run", "probe", "source_model", "method", "epsilon")


def _keys(*names: str) -> list[Column[Any]]:
    return [Column(name, Integer if name == "epsilon" else String, primary_key=True) for name in names]


_subjects = Table(
    "subjects",
    _schema,
    *_keys("run", "identity"),
    Column("photo", String),  # IDENTITY/FILE; empty where no photo of the identity could be read
    Column("photo_sha256", String),
    Column("fate", String, nullable=False),
)
_cloaks = Table(
    "cloaks",
    _schema,
    *_keys(*_cloak_key),
    Column("n_iter", Integer, nullable=False),
    Column("largest_change", Integer, nullable=False),  # levels, before storage
    Column("zero_gradient_share", Float, nullable=False),  # 0..1
    Column("probe_sha256", String, nullable=False),
    Column("cloak_sha256", String, nullable=False),
)
_observations = Table(
    "observations",
    _schema,
    *_keys(*_cloak_key, "target_model"),
    Column("outcome", String, nullable=False),
    Column("rank", Integer),  # 1-based; null unless ranked
    Column("candidates", Integer, nullable=False),  # asked for
    Column("cloak_sha256", String, nullable=False),
)
_answers = Table(  # whom a target model took a cloak for; none where no face was found
    "answers",
    _schema,
    *_keys(*_cloak_key, "target_model"),
    Column("identity", String, nullable=False),
)
_probes = Table(  # whose lossless controls were kept
    "probes",
    _schema,
    *_keys("run", "probe", "source_model"),
    Column("probe_sha256", String, nullable=False),  # of the pixels
    Column("file_sha256", String, nullable=False),  # of the PNG
)
_quality = Table(  # of stored cloaks against lossless controls
    "quality",
    _schema,
    *_keys(*_cloak_key),
    Column("ssim", Float, nullable=False),  # -1..1
    Column("psnr", Float),  # dB; null where it is infinite: not one pixel differs
)
_failures = Table(
    "failures",
    _schema,
    Column("number", Integer, primary_key=True),
    Column("run", String, nullable=False),
    Column("probe", String, nullable=False),
    Column("what", String, nullable=False),
    Column("message", String, nullable=False),
)


class StoreError(OrchestratorError):
    """The store cannot be read or written."""


class Fate(StrEnum):
    """What became of an identity that was drawn."""

    BEGUN = "begun"  # not all that can be observed about it is
    SUBJECT = "subject"
    NO_FACE = "no_face"  # the protector finds no face: replaced by the next
    UNREADABLE = "unreadable"  # none of its photos can be read: replaced by the next


@dataclass(frozen=True)
class Subject:
    """An identity that was drawn, and its photo."""

    identity: str
    photo: str  # IDENTITY/FILE
    photo_sha256: str
    fate: Fate


@dataclass(frozen=True)
class Failure:
    """A call that failed for good; no observation came of it."""

    probe: str
    what: str
    message: str


@dataclass(frozen=True)
class LosslessControl:
    """The probe itself as a source model sees it, kept without loss beside the cloaks that were made of it."""

    probe: str
    source_model: str
    probe_sha256: str  # of its RGB bytes
    file_sha256: str  # of the PNG


class RecordedCloak(NamedTuple):
    """A cloak that was crafted, and the digest of the probe it was made of."""

    probe: str
    key: CloakKey
    probe_sha256: str
    sha256: str


class CloakQuality(NamedTuple):
    """How much of its probe a stored cloak keeps."""

    probe: str
    cloak: CloakKey
    ssim: float  # -1..1; 1 where both are equal
    psnr: float  # dB; infinite where both are equal


class Store:
    """What one run observed, in a SQLite file (write-ahead log)."""

    def __init__(self, path: Path, *, run: str) -> None:
        self._run = run
        self._engine = _open(path)
        with self._translated(), self._engine.begin() as connection:
            _schema.create_all(connection)

    def close(self) -> None:
        """Closes the file."""
        self._engine.dispose()

    def put_subject(self, subject: Subject) -> None:
        """Records an identity that was drawn, or what became of it since."""
        facts = {"photo": subject.photo, "photo_sha256": subject.photo_sha256, "fate": subject.fate.value}
        statement = insert(_subjects).values(run=self._run, identity=subject.identity, **facts)
        with self._translated(), self._engine.begin() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["run", "identity"], set_=facts))

    def add_cloak(self, probe: str, cloak: Cloak) -> None:
        """Records a crafted cloak."""
        self._insert(
            _cloaks,
            [
                _cloak_columns(probe, cloak.key)
                | {
                    "n_iter": cloak.n_iter,
                    "largest_change": cloak.largest_change,
                    "zero_gradient_share": cloak.zero_gradient_share,
                    "probe_sha256": cloak.probe_sha256,
                    "cloak_sha256": cloak.sha256,
                }
            ],
        )

    def add_observations(self, observations: Iterable[Observation], *, cloak_sha256: str) -> None:
        """Records what the target models answered about one cloak, all or nothing."""
        self._insert(
            _observations,
            [
                _cloak_columns(observation.probe, observation.cell.cloak)
                | {
                    "target_model": observation.cell.target_model,
                    "outcome": observation.outcome.value,
                    "rank": observation.rank,
                    "candidates": observation.candidates,
                    "cloak_sha256": cloak_sha256,
                }
                for observation in observations
            ],
        )

    def add_answers(self, probe: str, cloak: CloakKey, named: Mapping[str, str]) -> None:
        """Records whom each target model took a cloak for: its first candidate, by target model."""
        columns = _cloak_columns(probe, cloak)
        self._insert(
            _answers, [columns | {"target_model": target, "identity": identity} for target, identity in named.items()]
        )

    def answers(self, *, probe: str) -> dict[Cell, str]:
        """Whom each target model took the cloaks of a probe for; a run that did not record them yet has none."""
        query = select(_answers).where(_answers.c.run == self._run, _answers.c.probe == probe)
        with self._translated(), self._engine.connect() as connection:
            return {
                Cell(row.source_model, row.method, row.epsilon, row.target_model): row.identity
                for row in connection.execute(query)
            }

    def put_lossless_control(self, control: LosslessControl) -> None:
        """Records a lossless control that is kept; one that was recorded before is no longer there."""
        digests = {"probe_sha256": control.probe_sha256, "file_sha256": control.file_sha256}
        statement = insert(_probes).values(run=self._run, probe=control.probe, source_model=control.source_model, **digests)
        with self._translated(), self._engine.begin() as connection:
            connection.execute(
                statement.on_conflict_do_update(index_elements=["run", "probe", "source_model"], set_=digests)
            )

    def add_quality(self, measured: Iterable[CloakQuality]) -> None:
        """Records what was measured of stored cloaks, all or nothing."""
        self._insert(
            _quality,
            [
                _cloak_columns(each.probe, each.cloak)
                | {"ssim": each.ssim, "psnr": None if math.isinf(each.psnr) else each.psnr}
                for each in measured
            ],
        )

    def add_failure(self, failure: Failure) -> None:
        """Records a call that failed for good."""
        self._insert(_failures, [{"probe": failure.probe, "what": failure.what, "message": failure.message}])

    def observations(self, *, probe: str | None = None) -> list[Observation]:
        """All observations, or those of one probe."""
        table = _observations.c
        query = select(_observations).where(table.run == self._run)
        if probe is not None:
            query = query.where(table.probe == probe)
        with self._translated(), self._engine.connect() as connection:
            return [
                Observation(
                    probe=row.probe,
                    cell=Cell(row.source_model, row.method, row.epsilon, row.target_model),
                    outcome=Outcome(row.outcome),
                    rank=row.rank,
                    candidates=row.candidates,
                )
                for row in connection.execute(query)
            ]

    def cloaks(self, *, probe: str | None = None) -> list[RecordedCloak]:
        """The cloaks of a probe that were crafted before, or those of all of the run's subjects, probe by probe."""
        table = _cloaks.c
        wanted = table.probe.in_(self._photos_of_subjects()) if probe is None else table.probe == probe
        query = select(_cloaks).where(table.run == self._run, wanted)
        with self._translated(), self._engine.connect() as connection:
            return [
                RecordedCloak(row.probe, _key_of(row), row.probe_sha256, row.cloak_sha256)
                for row in connection.execute(query.order_by(*(table[name] for name in _cloak_key)))
            ]

    def lossless_controls(self, *, probe: str | None = None) -> dict[tuple[str, str], LosslessControl]:
        """By probe and source model, the lossless controls that were kept: of one probe, or of all of the run's subjects."""
        table = _probes.c
        wanted = table.probe.in_(self._photos_of_subjects()) if probe is None else table.probe == probe
        query = select(_probes).where(table.run == self._run, wanted)
        with self._translated(), self._engine.connect() as connection:
            return {
                (row.probe, row.source_model): LosslessControl(
                    row.probe, row.source_model, row.probe_sha256, row.file_sha256
                )
                for row in connection.execute(query)
            }

    def quality(self) -> list[CloakQuality]:
        """What was measured of the cloaks of the run's subjects, probe by probe."""
        table = _quality.c
        query = select(_quality).where(table.run == self._run, table.probe.in_(self._photos_of_subjects()))
        with self._translated(), self._engine.connect() as connection:
            return [
                CloakQuality(row.probe, _key_of(row), row.ssim, math.inf if row.psnr is None else row.psnr)
                for row in connection.execute(query.order_by(*(table[name] for name in _cloak_key)))
            ]

    def rank_matrix(self) -> RankMatrix:
        """All observations of the run's subjects; those of an identity that was replaced after all do not count.

        No observation becomes an object of its own, so that a million are read in seconds.
        """
        table = _observations.c
        instead = case((table.outcome == Outcome.NO_FACE.value, NO_FACE), else_=BEYOND)
        query = (
            select(
                table.probe,
                table.source_model,
                table.method,
                table.epsilon,
                table.target_model,
                func.coalesce(table.rank, instead),
                table.candidates,
            )
            .where(table.run == self._run, table.probe.in_(self._photos_of_subjects()))
            .order_by(table.probe)
        )
        cells: dict[tuple[str, str, int, str], int] = {}
        probes: dict[str, int] = {}
        placed = [np.empty((0, 3), dtype=np.int64)]
        candidates: list[int] = []
        with self._translated(), self._engine.connect() as connection:
            for rows in connection.execution_options(yield_per=ROWS_AT_ONCE).execute(query).partitions():
                placed.append(
                    np.array(
                        [
                            (cells.setdefault(row[1:5], len(cells)), probes.setdefault(row[0], len(probes)), row[5])
                            for row in rows
                        ]
                    )
                )
                candidates.append(min(row[-1] for row in rows))
        return RankMatrix.placed(
            [Cell(*cell) for cell in cells],
            list(probes),
            np.concatenate(placed),
            candidates=min(candidates, default=0),
        )

    def _photos_of_subjects(self) -> Select[tuple[str]]:
        table = _subjects.c
        return select(table.photo).where(table.run == self._run, table.fate == Fate.SUBJECT.value)

    def subjects(self) -> list[Subject]:
        """Every identity that was drawn, sorted by name."""
        query = select(_subjects).where(_subjects.c.run == self._run).order_by(_subjects.c.identity)
        with self._translated(), self._engine.connect() as connection:
            return [Subject(row.identity, row.photo, row.photo_sha256, Fate(row.fate)) for row in connection.execute(query)]

    def failures(self) -> list[Failure]:
        """The calls that failed for good, in their order."""
        query = select(_failures).where(_failures.c.run == self._run).order_by(_failures.c.number)
        with self._translated(), self._engine.connect() as connection:
            return [Failure(row.probe, row.what, row.message) for row in connection.execute(query)]

    def _insert(self, table: Table, rows: Sequence[dict[str, object]]) -> None:
        if not rows:
            return
        statement = insert(table).on_conflict_do_nothing()
        with self._translated(), self._engine.begin() as connection:
            connection.execute(statement, [{"run": self._run} | row for row in rows])

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise StoreError(f"{self._engine.url.database}: {error.orig}") from error


def _cloak_columns(probe: str, key: CloakKey) -> dict[str, object]:
    return {"probe": probe, "source_model": key.source_model, "method": key.method, "epsilon": key.epsilon}


def _key_of(row: Any) -> CloakKey:
    return CloakKey(row.source_model, row.method, row.epsilon)


def _open(path: Path) -> Engine:
    engine = create_engine(URL.create("sqlite", database=str(path)))

    @event.listens_for(engine, "connect")
    def _use_write_ahead_log(connection: Connection, _record: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")  # type: ignore[call-overload]
        connection.execute("PRAGMA synchronous=NORMAL")  # type: ignore[call-overload]

    return engine
