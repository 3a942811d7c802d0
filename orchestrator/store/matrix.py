"""Ranks straight out of SQL, where a million observations must not become a million objects."""

import numpy as np
from sqlalchemy import Connection, Select, case, func, select

from orchestrator.experiment.condition import Condition
from orchestrator.experiment.grid import Cell
from orchestrator.metrics.matrix import BEYOND, NO_FACE, RankMatrix
from orchestrator.metrics.observation import Outcome
from orchestrator.store.schema import observations

ROWS_AT_ONCE = 50_000  # of observations, while they become an array


def rank_matrix(connection: Connection, *, run: str, probes: Select[tuple[str]]) -> RankMatrix:
    """All observations of the probes that a query names."""
    table = observations.c
    instead = case((table.outcome == Outcome.NO_FACE.value, NO_FACE), else_=BEYOND)
    query = (
        select(
            table.probe,
            table.source_model,
            table.method,
            table.epsilon,
            table.condition,
            table.target_model,
            func.coalesce(table.rank, instead),
            table.candidates,
        )
        .where(table.run == run, table.probe.in_(probes))
        .order_by(table.probe)
    )
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
