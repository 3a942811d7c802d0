"""What is recorded of a run, as changes that can be committed alone or with others. Making one twice changes nothing.

A cell has one answer. Where several orchestrators, or one that goes on, come to another, the first stays and the second
is an error: two answers mean that a service is not what it was when the run began.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, Row, Table, update

from orchestrator.experiment.cloak import CloakRecord, PhotoBox, Quality
from orchestrator.experiment.condition import Condition
from orchestrator.experiment.grid import CloakKey
from orchestrator.metrics.non_mated import NonMatedSearch
from orchestrator.metrics.observation import Observation
from orchestrator.store.database import insert
from orchestrator.store.errors import StoreConflictError
from orchestrator.store.records import Failure, Subject, SubjectStatus
from orchestrator.store.schema import cloaks, draw, failures, non_mated, observations, reached, subjects

Change = Callable[[Connection, str], None]
"""Writes something of the run whose digest it is given, in a transaction, and raises what keeps it from being written."""

_DIGITS_SHOWN = 12  # of a digest


def record_observations(
    observed: Sequence[Observation],
    *,
    picture_sha256: str,
    answers: Mapping[str, str],
    gallery_sha256: str | None = None,
) -> Change:
    """All that one call was answered about one cloak under one condition.

    Args:
        observed: of one probe, one cloak and one condition.
        picture_sha256: of the picture that was sent.
        answers: by target model whom it took the cloak for, its first candidate; none where no face was found.
        gallery_sha256: of the gallery that it was searched in; None: the invader's own.

    Raises:
        StoreConflictError: (the change) another outcome, rank, picture, gallery or number of candidates that reach a
            threshold is recorded for a cell; the first stays.
    """
    cells = {each.cell.target_model: each for each in observed}

    def change(connection: Connection, run: str) -> None:
        rows = [
            _cloak_key(run, each.probe, each.cell.cloak)
            | {
                "condition": str(each.cell.condition),
                "target_model": target_model,
                "outcome": each.outcome.value,
                "rank": each.rank,
                "candidates": each.candidates,
                "answer": answers.get(target_model),
                "picture_sha256": picture_sha256,
                "gallery_sha256": gallery_sha256,
            }
            for target_model, each in cells.items()
        ]
        for recorded in _recorded(connection, observations, rows):
            each = cells[recorded.target_model]
            before = recorded.outcome, recorded.rank, recorded.picture_sha256, recorded.gallery_sha256
            now = each.outcome.value, each.rank, picture_sha256, gallery_sha256
            if before != now:
                raise _conflict(f"{each.probe}: {each.cell}", _answer(*before), _answer(*now))
        _record_reached(connection, run, observed)

    return change


def record_non_mated(
    photo: str, condition: Condition, searches: Sequence[NonMatedSearch], *, picture_sha256: str, answers: Mapping[str, str]
) -> Change:
    """All that one call was answered about a photo of somebody who is not enrolled, under one condition.

    Args:
        photo: as IDENTITY/FILE.
        condition: that it went through.
        searches: of this photo and condition, at each threshold of each target model.
        picture_sha256: of the picture that was sent.
        answers: by target model whom it took the person for, its first candidate; none where no face was found.

    Raises:
        StoreConflictError: (the change) another answer or picture is recorded; the first stays.
    """
    asked = {(each.target_model, each.threshold): each for each in searches}

    def change(connection: Connection, run: str) -> None:
        rows = [
            {
                "run": run,
                "photo": photo,
                "condition": str(condition),
                "target_model": target_model,
                "threshold": threshold,
                "face_found": each.face_found,
                "reached": each.reached,
                "answer": answers.get(target_model),
                "picture_sha256": picture_sha256,
            }
            for (target_model, threshold), each in asked.items()
        ]
        for recorded in _recorded(connection, non_mated, rows):
            each = asked[recorded.target_model, recorded.threshold]
            before = recorded.face_found, recorded.reached, recorded.picture_sha256
            now = each.face_found, each.reached, picture_sha256
            if before != now:
                where = f"{photo}: {condition}, read by {each.target_model} at {each.threshold}"
                raise _conflict(where, _search(*before), _search(*now))

    return change


def record_cloak(cloak: CloakRecord) -> Change:
    """A crafted cloak.

    Raises:
        StoreConflictError: (the change) a cloak with another digest is recorded in its place; the first stays.
    """

    def change(connection: Connection, run: str) -> None:
        (recorded,) = _recorded(connection, cloaks, [_cloak_key(run, cloak.probe, cloak.key) | _crafted(cloak)])
        if recorded.cloak_sha256 != cloak.sha256:
            raise StoreConflictError(
                f"{cloak.probe}: the protector crafted another cloak than before for {cloak.key}: recorded "
                f"{recorded.cloak_sha256[:_DIGITS_SHOWN]}, now {cloak.sha256[:_DIGITS_SHOWN]}; its software or machine "
                f"differs from the one that the run began with"
            )

    return change


def record_subject(subject: Subject) -> Change:
    """An identity that was drawn, or what became of it since. What became of it stays, and there is nothing left to ask."""

    def change(connection: Connection, run: str) -> None:
        key = {"run": run, "identity": subject.identity}
        facts = {"photo": subject.photo, "photo_sha256": subject.photo_sha256, "status": subject.status.value}
        _put(connection, subjects, key, facts, where=subjects.c.status == SubjectStatus.BEGUN.value)
        if subject.status is not SubjectStatus.BEGUN:
            connection.execute(update(draw).where(*_matches(draw, key)).values(due=False))

    return change


def record_quality(cloak: CloakRecord, quality: Quality) -> Change:
    """What was measured of a stored cloak."""

    def change(connection: Connection, run: str) -> None:
        key = _cloak_key(run, cloak.probe, cloak.key)
        connection.execute(update(cloaks).where(*_matches(cloaks, key)).values(quality._asdict()))

    return change


def record_failure(failure: Failure) -> Change:
    """A call that failed for good. Two that failed in the same way are two."""
    message = failure.message.replace("\0", "\N{REPLACEMENT CHARACTER}")  # a service's words; PostgreSQL takes no NUL
    row = {"probe": failure.probe, "what": failure.what, "message": message, "call": uuid4().hex}

    def change(connection: Connection, run: str) -> None:
        connection.execute(insert(connection, failures).values(run=run, **row).on_conflict_do_nothing())

    return change


def _record_reached(connection: Connection, run: str, observed: Sequence[Observation]) -> None:
    rows = [
        _cloak_key(run, each.probe, each.cell.cloak)
        | {
            "condition": str(each.cell.condition),
            "target_model": each.cell.target_model,
            "threshold": threshold,
            "candidates": candidates,
        }
        for each in observed
        for threshold, candidates in each.reached.items()
    ]
    of_model = {each.cell.target_model: each for each in observed}
    for recorded in _recorded(connection, reached, rows):
        each = of_model[recorded.target_model]
        now = each.reached[recorded.threshold]
        if recorded.candidates != now:
            where = f"{each.probe}: {each.cell}, at {recorded.threshold}"
            raise _conflict(where, f"{recorded.candidates} candidates that reach it", str(now))


def _conflict(where: str, before: str, now: str) -> StoreConflictError:
    return StoreConflictError(
        f"{where}: recorded {before}, now {now}; the first stays. One question has one answer: a service's software or "
        f"machine differs from the one that the run began with"
    )


def _cloak_key(run: str, probe: str, key: CloakKey) -> dict[str, object]:
    return {"run": run, "probe": probe, **asdict(key)}


def _crafted(cloak: CloakRecord) -> dict[str, object]:
    return {
        "n_iter": cloak.n_iter,
        "gradients": cloak.gradients,
        "forward_passes": cloak.forward_passes,
        "largest_change": cloak.largest_change,
        "zero_gradient_share": cloak.zero_gradient_share,
        "probe_sha256": cloak.probe_sha256,
        "cloak_sha256": cloak.sha256,
        **dict.fromkeys(PhotoBox._fields),
        **(cloak.box._asdict() if cloak.box is not None else {}),
    }


def _recorded(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> Sequence[Row[Any]]:
    """Writes rows, and returns what is recorded under their keys: where something was, that stays."""
    if not rows:
        return ()
    key = [column.name for column in table.primary_key]
    as_it_was = {"run": table.c.run}  # of a conflict that is passed over nothing is returned
    statement = insert(connection, table).on_conflict_do_update(index_elements=key, set_=as_it_was).returning(table)
    return connection.execute(statement, list(rows)).all()


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


def _matches(table: Table, key: Mapping[str, object]) -> list[ColumnElement[bool]]:
    return [table.c[name] == value for name, value in key.items()]


def _search(face_found: bool, candidates: int, picture_sha256: str) -> str:  # noqa: FBT001 - a column
    found = f"{candidates} candidates that reach it" if face_found else "no face"
    return f"{found}, of picture {picture_sha256[:_DIGITS_SHOWN]}"


def _answer(outcome: str, rank: int | None, picture_sha256: str, gallery_sha256: str | None) -> str:
    where = "" if gallery_sha256 is None else f" in gallery {gallery_sha256[:_DIGITS_SHOWN]}"
    return f"{outcome if rank is None else f'rank {rank}'} of picture {picture_sha256[:_DIGITS_SHOWN]}{where}"
