"""What is recorded, as changes that can be committed alone or with others. Making one twice changes nothing.

A cell has one answer. Where several orchestrators, or one that goes on, come to another, the first stays and the second
is an error: two answers mean that a service is not what it was when the run began.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, Row, Table, select, update

from orchestrator.experiment.cloak import CloakRecord, Quality
from orchestrator.experiment.grid import Cell, CloakKey
from orchestrator.metrics.observation import Observation
from orchestrator.store.database import insert
from orchestrator.store.errors import StoreConflictError
from orchestrator.store.records import Failure, Subject, SubjectStatus
from orchestrator.store.schema import cloaks, draw, failures, lossless_controls, observations, subjects

Change = Callable[[Connection], None]
"""Writes something within a transaction, and raises what keeps it from being written."""

_DIGITS_SHOWN = 12  # of a digest


def observing(run: str, seen: Sequence[Observation], *, cloak_sha256: str, named: Mapping[str, str]) -> Change:
    """All that one call was answered about one cloak: what was observed, and by target model whom it was taken for.

    Raises:
        StoreConflictError: (the change) another answer is recorded for a cell.
    """
    if not seen:
        return lambda _: None
    ((probe, cloak),) = {(each.probe, each.cell.cloak) for each in seen}
    key = {"run": run, **cloak_columns(probe, cloak)}
    rows = [
        key
        | {
            "target_model": each.cell.target_model,
            "outcome": each.outcome.value,
            "rank": each.rank,
            "candidates": each.candidates,
            "answer": named.get(each.cell.target_model),
            "cloak_sha256": cloak_sha256,
        }
        for each in seen
    ]

    def change(connection: Connection) -> None:
        add(connection, observations, rows)
        recorded = {row.target_model: row for row in connection.execute(_where(observations, key))}
        for row in rows:
            cell = Cell(cloak.source_model, cloak.method, cloak.epsilon, str(row["target_model"]))
            _check_same_answer(f"{probe}: {cell}", recorded[cell.target_model], row)

    return change


def crafting(run: str, cloak: CloakRecord) -> Change:
    """A crafted cloak.

    Raises:
        StoreConflictError: (the change) another cloak is recorded for its key.
    """
    key = {"run": run, **cloak_columns(cloak.probe, cloak.key)}

    def change(connection: Connection) -> None:
        add(connection, cloaks, [key | _crafted(cloak)])
        recorded = connection.execute(_where(cloaks, key)).one()
        if recorded.cloak_sha256 != cloak.sha256:
            raise StoreConflictError(
                f"{cloak.probe}: the protector crafted another cloak than before for {cloak.key}: recorded "
                f"{recorded.cloak_sha256[:_DIGITS_SHOWN]}, now {cloak.sha256[:_DIGITS_SHOWN]}; its software or machine "
                f"differs from the one that the run began with"
            )

    return change


def drawing(run: str, subject: Subject) -> Change:
    """An identity that was drawn, or what became of it since. What became of it stays, and there is nothing left to ask."""
    key = {"run": run, "identity": subject.identity}
    facts = {"photo": subject.photo, "photo_sha256": subject.photo_sha256, "status": subject.status.value}

    def change(connection: Connection) -> None:
        _put(connection, subjects, key, facts, where=subjects.c.status == SubjectStatus.BEGUN.value)
        if subject.status is not SubjectStatus.BEGUN:
            drawn = draw.c.run == run, draw.c.identity == subject.identity
            connection.execute(update(draw).where(*drawn).values(due=False))

    return change


def keeping(run: str, control: CloakRecord) -> Change:
    """A lossless control that is kept; one that was recorded before is no longer there."""
    key = {"run": run, **cloak_columns(control.probe, control.key)}
    return lambda connection: _put(connection, lossless_controls, key, _crafted(control))


def measuring(run: str, measured: Iterable[tuple[CloakRecord, Quality]]) -> Change:
    """What was measured of stored cloaks."""

    def change(connection: Connection) -> None:
        for cloak, quality in measured:
            key = {"run": run, **cloak_columns(cloak.probe, cloak.key)}
            connection.execute(update(cloaks).where(*_is(cloaks, key)).values(quality._asdict()))

    return change


def failing(run: str, failure: Failure) -> Change:
    """A call that failed for good. Two that failed in the same way are two."""
    message = failure.message.replace("\0", "\N{REPLACEMENT CHARACTER}")  # a service's words; PostgreSQL takes no NUL
    row = {"run": run, "probe": failure.probe, "what": failure.what, "message": message, "call": uuid4().hex}
    return lambda connection: add(connection, failures, [row])


def add(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Writes the rows whose keys are not yet there."""
    if rows:
        connection.execute(insert(connection, table).on_conflict_do_nothing(), [dict(row) for row in rows])


def cloak_columns(probe: str, key: CloakKey) -> dict[str, object]:
    """The columns that every table of cloaks and observations begins with, after the run."""
    return {"probe": probe, "source_model": key.source_model, "method": key.method, "epsilon": key.epsilon}


def _crafted(cloak: CloakRecord) -> dict[str, object]:
    """The columns of a cloak after its key."""
    return {
        "n_iter": cloak.n_iter,
        "largest_change": cloak.largest_change,
        "zero_gradient_share": cloak.zero_gradient_share,
        "probe_sha256": cloak.probe_sha256,
        "cloak_sha256": cloak.sha256,
    }


def _put(
    connection: Connection,
    table: Table,
    key: Mapping[str, object],
    facts: Mapping[str, object],
    *,
    where: ColumnElement[bool] | None = None,
) -> None:
    statement = insert(connection, table).values(**key, **facts)
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=dict(facts), where=where))


def _where(table: Table, key: Mapping[str, object]) -> Any:
    return select(table).where(*_is(table, key))


def _is(table: Table, key: Mapping[str, object]) -> list[ColumnElement[bool]]:
    return [table.c[name] == value for name, value in key.items()]


def _check_same_answer(where: str, recorded: Row[Any], row: Mapping[str, object]) -> None:
    before, now = (
        f"{_outcome(outcome, rank)} of cloak {str(cloak_sha256)[:_DIGITS_SHOWN]}"
        for outcome, rank, cloak_sha256 in (
            (recorded.outcome, recorded.rank, recorded.cloak_sha256),
            (row["outcome"], row["rank"], row["cloak_sha256"]),
        )
    )
    if (recorded.outcome, recorded.rank, recorded.cloak_sha256) != (row["outcome"], row["rank"], row["cloak_sha256"]):
        raise StoreConflictError(
            f"{where}: recorded {before}, now {now}; the first stays. One question has one answer: a service's software "
            f"or machine differs from the one that the run began with"
        )


def _outcome(outcome: object, rank: object) -> str:
    return f"rank {rank}" if rank is not None else str(outcome)
