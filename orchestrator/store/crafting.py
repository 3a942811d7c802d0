"""How crafting went, summed up in SQL: a run has more cloaks than need become objects."""

from typing import Any, NamedTuple

from sqlalchemy import Column, Connection, Float, Function, Select, case, cast, func, select

from orchestrator.experiment.grid import CloakKey
from orchestrator.store.schema import cloaks


class CraftingSummary(NamedTuple):
    """The cloaks of one source model, method and epsilon, over the subjects of a run."""

    key: CloakKey
    cloaks: int
    min_n_iter: int
    max_n_iter: int
    min_gradients: int  # of a cloak, as if it had been crafted alone
    max_gradients: int
    gradients: float  # the mean over the cloaks
    min_forward_passes: int  # beside those of the gradients, likewise
    max_forward_passes: int
    forward_passes: float
    min_change: int  # levels; of the largest change of each cloak, before storage
    max_change: int
    zero_gradient_share: float  # 0..1, the mean over the cloaks
    stalled: int  # cloaks with a larger share of zero gradients than was asked about


def crafting_summaries(
    connection: Connection, *, run: str, probes: Select[tuple[str]], stalled_above: float
) -> dict[CloakKey, CraftingSummary]:
    """The summaries over the probes that a query names; no entry where nothing was crafted."""
    table = cloaks.c
    key = (table.source_model, table.method, table.epsilon)
    query = (
        select(
            *key,
            func.count(),
            func.min(table.n_iter),
            func.max(table.n_iter),
            *_range_and_mean(table.gradients),
            *_range_and_mean(table.forward_passes),
            func.min(table.largest_change),
            func.max(table.largest_change),
            func.avg(table.zero_gradient_share),
            func.sum(case((table.zero_gradient_share > stalled_above, 1), else_=0)),
        )
        .where(table.run == run, table.probe.in_(probes))
        .group_by(*key)
    )
    rows = connection.execute(query).all()
    return {CloakKey(*row[:3]): CraftingSummary(CloakKey(*row[:3]), *row[3:]) for row in rows}


def _range_and_mean(column: Column[int]) -> tuple[Function[Any], ...]:
    """The mean as a floating-point number: that of integers is a decimal one in PostgreSQL."""
    return func.min(column), func.max(column), func.avg(cast(column, Float))
