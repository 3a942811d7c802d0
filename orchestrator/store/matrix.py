"""Ranks straight out of SQL, where a million observations must not become a million objects."""

import numpy as np
from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, select

from orchestrator.experiment.condition import Condition
from orchestrator.experiment.grid import Cell
from orchestrator.metrics.matrix import BEYOND, NO_FACE, NOT_ENROLLED, RankMatrix
from orchestrator.metrics.observation import Outcome
from orchestrator.store.schema import OBSERVATION_KEY, observations, reached

ROWS_AT_ONCE = 50_000  # of observations, while they become an array


def rank_matrix(connection: Connection, *, run: str, probes: Select[tuple[str]], threshold: str | None = None) -> RankMatrix:
    """All observations of the probes that a query names; with a threshold those of target models that have it.

    At a threshold a rank that does not reach it is BEYOND, so that PSR@k of the matrix is 100 FNIR(N, k, T).
    """
    table = observations.c
    instead = case(
        (table.outcome == Outcome.NO_FACE.value, NO_FACE),
        (table.outcome == Outcome.NOT_ENROLLED.value, NOT_ENROLLED),
        else_=BEYOND,
    )
    rank: ColumnElement[int] = func.coalesce(table.rank, instead)
    if threshold is not None:
        rank = case((and_(rank > reached.c.candidates, rank != NOT_ENROLLED), BEYOND), else_=rank)
    query = (
        select(
            table.probe,
            table.source_model,
            table.method,
            table.epsilon,
            table.condition,
            table.target_model,
            rank,
            table.candidates,
        )
        .where(table.run == run, table.probe.in_(probes))
        .order_by(table.probe)
    )
    if threshold is not None:
        same = and_(*(table[name] == reached.c[name] for name in OBSERVATION_KEY))
        query = query.join_from(observations, reached, same).where(reached.c.threshold == threshold)
    cells: dict[tuple[str, str, int, str, str], int] = {}
    places: dict[str, int] = {}
    placed = [np.empty((0, 3), dtype=np.int64)]
    candidates: list[int] = []
    for rows in connection.execution_options(yield_per=ROWS_AT_ONCE).execute(query).partitions():
        placed.append(
            np.array(
                [(cells.setdefault(row[1:6], len(cells)), places.setdefault(row[0], len(places)), row[6]) for row in rows]
            )
        )
        candidates.append(min(row[-1] for row in rows))
    conditions = {text: Condition.parse(text) for text in {cell[3] for cell in cells}}
    return RankMatrix.placed(
        [Cell(*cell[:3], conditions[cell[3]], cell[4]) for cell in cells],
        list(places),
        np.concatenate(placed),
        candidates=min(candidates, default=0),
    )
