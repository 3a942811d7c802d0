"""Observations written short, for tests of what is made of them."""

from orchestrator.experiment.grid import Cell
from orchestrator.metrics.observation import Observation, Outcome

Seen = int | Outcome  # a rank, or what there is instead of one

BEYOND = Outcome.BEYOND
NO_FACE = Outcome.NO_FACE


def observation(probe: str, cell: Cell, seen: Seen, *, candidates: int = 10) -> Observation:
    """One observation, by its rank or by its outcome."""
    if isinstance(seen, Outcome):
        return Observation(probe, cell, seen, None, candidates)
    return Observation(probe, cell, Outcome.RANKED, seen, candidates)


def observations(cell: Cell, *, candidates: int = 10, **seen: Seen) -> list[Observation]:
    """The observations of a cell, by probe."""
    return [observation(probe, cell, rank, candidates=candidates) for probe, rank in seen.items()]
