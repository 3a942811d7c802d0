"""All observations of a run as one array: what metrics are computed from.

A million observations are two megabytes here, and a metric a few array operations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import MetricError
from orchestrator.experiment.grid import Cell

MISSING, NO_FACE, BEYOND = -2, -1, 0  # in place of a rank
NOT_ENROLLED = np.iinfo(np.int16).max  # likewise: further than any candidate
MAX_CANDIDATES = NOT_ENROLLED - 1

Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class RankMatrix:
    """Ranks of the true identity: a row for each cell, a column for each probe.

    `ranks` (cells, probes), int16: 1 and more are ranks, BEYOND is beyond the candidates that were asked for, NO_FACE that
    the invader found none, NOT_ENROLLED that there is nothing of the person to search, MISSING that nothing was observed.
    """

    cells: tuple[Cell, ...]
    probes: tuple[str, ...]
    ranks: NDArray[np.int16]
    candidates: int  # that were asked for: PSR@k is defined for k up to it

    @classmethod
    def placed(
        cls, cells: Sequence[Cell], probes: Sequence[str], placed: NDArray[np.int64], *, candidates: int
    ) -> "RankMatrix":
        """From (row, column, coded rank) triples; cells are sorted, probes stay in their order.

        Raises:
            MetricError: more candidates were asked for than a rank can count.
        """
        if candidates > MAX_CANDIDATES:
            raise MetricError(f"{candidates} candidates: expected at most {MAX_CANDIDATES}, as many as a rank can count")
        order = sorted(range(len(cells)), key=cells.__getitem__)
        ranks = np.full((len(cells), len(probes)), MISSING, dtype=np.int16)
        if len(placed):
            ranks[placed[:, 0], placed[:, 1]] = placed[:, 2]
        return cls(tuple(cells[row] for row in order), tuple(probes), ranks[order], candidates)

    def only(self, probes: Sequence[str]) -> "RankMatrix":
        """The columns of these probes, in this order; one that was never observed is MISSING throughout."""
        columns = {probe: column for column, probe in enumerate(self.probes)}
        known = [place for place, probe in enumerate(probes) if probe in columns]
        ranks = np.full((len(self.cells), len(probes)), MISSING, dtype=np.int16)
        ranks[:, known] = self.ranks[:, [columns[probes[place]] for place in known]]
        return RankMatrix(self.cells, tuple(probes), ranks, self.candidates)

    def shared_with(self, other: "RankMatrix") -> tuple["RankMatrix", "RankMatrix"]:
        """This and another with the columns of the probes that both have, in this one's order."""
        known = frozenset(other.probes)
        probes = [probe for probe in self.probes if probe in known]
        return self.only(probes), other.only(probes)

    @property
    def observations(self) -> int:
        """How many there are."""
        return int(np.count_nonzero(self.ranks != MISSING))

    @cached_property
    def _rows(self) -> dict[Cell, int]:
        return {cell: row for row, cell in enumerate(self.cells)}

    def row(self, cell: Cell) -> NDArray[np.int16]:
        """The coded ranks (probes,) of a cell; all MISSING for a cell that was never observed."""
        row = self._rows.get(cell)
        return np.full(len(self.probes), MISSING, dtype=np.int16) if row is None else self.ranks[row]

    def observed(self, cell: Cell) -> Flags:
        """Which probes (probes,) were observed in a cell."""
        observed: Flags = self.row(cell) != MISSING
        return observed

    def detected(self, cell: Cell) -> Flags:
        """In which of the observed ones the invader found a face; nothing is held against what was not searched."""
        return self.row(cell) > NO_FACE

    def not_enrolled(self, cell: Cell) -> Flags:
        """Which of the observed ones were not searched, since nothing of the person could be enrolled."""
        not_enrolled: Flags = self.row(cell) == NOT_ENROLLED
        return not_enrolled

    def protected(self, cell: Cell, k: int) -> Flags:
        """In which of the observed ones the true identity is not among the first k.

        No face counts as protected (a choice), and so does who is not enrolled.

        Raises:
            MetricError: fewer than k candidates were asked for.
        """
        if not 1 <= k <= self.candidates:
            raise MetricError(f"k = {k}: expected 1..{self.candidates}, the candidates that were asked for")
        row = self.row(cell)
        protected: Flags = (row == NO_FACE) | (row == BEYOND) | (row > k)
        return protected
