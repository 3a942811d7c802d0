"""Observations written short, for tests of what is made of them."""

from collections.abc import Iterable, Sequence

import numpy as np

from orchestrator.experiment.grid import Cell
from orchestrator.experiment.intervals import IntervalKind
from orchestrator.metrics import matrix
from orchestrator.metrics.matrix import RankMatrix
from orchestrator.metrics.observation import Observation, Outcome
from orchestrator.metrics.psr import CellResult, results_of

Seen = int | Outcome  # a rank, or what there is instead of one

BEYOND = Outcome.BEYOND
NO_FACE = Outcome.NO_FACE
NOT_ENROLLED = Outcome.NOT_ENROLLED
CODES = {BEYOND: matrix.BEYOND, NO_FACE: matrix.NO_FACE, NOT_ENROLLED: matrix.NOT_ENROLLED}


def observation(probe: str, cell: Cell, seen: Seen, *, candidates: int = 10) -> Observation:
    """One observation, by its rank or by its outcome."""
    if isinstance(seen, Outcome):
        return Observation(probe, cell, seen, None, candidates)
    return Observation(probe, cell, Outcome.RANKED, seen, candidates)


def observations(cell: Cell, *, candidates: int = 10, **seen: Seen) -> list[Observation]:
    """The observations of a cell, by probe."""
    return [observation(probe, cell, rank, candidates=candidates) for probe, rank in seen.items()]


def rank_matrix(table: Iterable[Observation]) -> RankMatrix:
    """The array of single observations; the smallest number of candidates counts."""
    cells: dict[Cell, int] = {}
    probes: dict[str, int] = {}
    placed: list[tuple[int, int, int]] = []
    candidates: list[int] = []
    for each in table:
        row, column = cells.setdefault(each.cell, len(cells)), probes.setdefault(each.probe, len(probes))
        placed.append((row, column, CODES[each.outcome] if each.rank is None else each.rank))
        candidates.append(each.candidates)
    triples = np.array(placed, dtype=np.int64).reshape(-1, 3)
    return RankMatrix.placed(list(cells), list(probes), triples, candidates=min(candidates, default=0))


def results(
    table: Iterable[Observation], *, ks: Sequence[int], kind: IntervalKind = IntervalKind.WILSON
) -> list[CellResult]:
    """PSR@k of every cell."""
    return list(results_of(rank_matrix(table), ks=ks, kind=kind))
