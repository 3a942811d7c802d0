"""Verification, one to one: how often cloaks are not accepted as their own person, and how often as another.

Two figures that papers both call PSR, named apart here. *Obfuscation* succeeds where a probe is not accepted as its own
person: of probes without a cloak that share is the false non-match rate, FNMR. *Impersonation* succeeds where it is accepted
as whom it is to pass for: of probes without a cloak that is the false match rate, FMR, of these pairs. Whose reference, or
target's picture, shows no face is in neither: nothing was compared (failure to enrol). A probe in which no face is found is
not accepted as anybody.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import combinations

import numpy as np

from orchestrator.experiment.grid import Cell, Grid, is_control
from orchestrator.metrics.intervals import PairedCounts
from orchestrator.metrics.matrix import Flags, RankMatrix
from orchestrator.metrics.mcnemar import holm, mcnemar_exact
from orchestrator.metrics.psr import Difference, Rate

ALONE = 1  # the only candidate is the first


class Claim(StrEnum):
    """What a cloak is to achieve."""

    OBFUSCATION = "obfuscation"
    IMPERSONATION = "impersonation"

    @classmethod
    def of(cls, cell: Cell) -> "Claim":
        """That of a cell's condition."""
        return cls.IMPERSONATION if cell.condition.claims_target else cls.OBFUSCATION


@dataclass(frozen=True)
class Verification:
    """One cell at a threshold."""

    cell: Cell
    threshold: str
    success: Rate | None  # of the pairs compared; None where there are none
    detected: Rate | None  # of these, probes in which a face was found
    not_enrolled: int  # pairs that were not compared, since nobody could be enrolled
    control: Rate | None  # the success of the probe itself: FNMR, or FMR
    minus_control: Difference | None  # None where no pair is compared in both
    minus_noise: Difference | None

    @property
    def claim(self) -> Claim:
        return Claim.of(self.cell)


@dataclass(frozen=True)
class MethodsCompared:
    """The success of one method minus that of another in the same cell, over the pairs compared in both."""

    cell: Cell  # of the first method
    second: str
    threshold: str
    difference: Difference
    p: float  # exact McNemar, two-sided
    adjusted_p: float  # Holm over all comparisons of methods of the run


def verifications(at: Mapping[str, RankMatrix]) -> Iterator[Verification]:
    """All cells at each of their thresholds; `at` has ranks that are BEYOND where the threshold is not reached."""
    for threshold, matrix in at.items():
        for cell in matrix.cells:
            observed = matrix.observed(cell)
            if not observed.any():
                continue
            found = compared(matrix, cell) & matrix.detected(cell)
            n = _count(compared(matrix, cell))
            yield Verification(
                cell=cell,
                threshold=threshold,
                success=rate(matrix, cell),
                detected=Rate(_count(found), n) if n else None,
                not_enrolled=_count(matrix.not_enrolled(cell)),
                control=rate(matrix, cell.control),
                minus_control=difference(matrix, cell, matrix, cell.control),
                minus_noise=difference(matrix, cell, matrix, cell.noise),
            )


def compared(matrix: RankMatrix, cell: Cell) -> Flags:
    """Which probes (probes,) were compared with somebody in a cell."""
    compared: Flags = matrix.observed(cell) & ~matrix.not_enrolled(cell)
    return compared


def succeeded(matrix: RankMatrix, cell: Cell) -> Flags:
    """In which of these the cloak achieved what it is to."""
    accepted = compared(matrix, cell) & ~matrix.protected(cell, ALONE)
    succeeded: Flags = accepted if Claim.of(cell) is Claim.IMPERSONATION else compared(matrix, cell) & ~accepted
    return succeeded


def rate(matrix: RankMatrix, cell: Cell) -> Rate | None:
    """The share of successes; None where nothing was compared."""
    n = _count(compared(matrix, cell))
    return Rate(_count(succeeded(matrix, cell)), n) if n else None


def difference(first: RankMatrix, cell: Cell, second: RankMatrix, other: Cell) -> Difference | None:
    """The success in a cell minus that in another, over the pairs compared in both; None where there are none.

    The matrices have the same probes: of one threshold, or of two.
    """
    both = compared(first, cell) & compared(second, other)
    if not both.any():
        return None
    one, another = succeeded(first, cell) & both, succeeded(second, other) & both
    together = _count(one & another)
    first_only, second_only = _count(one) - together, _count(another) - together
    return Difference(PairedCounts(together, first_only, second_only, _count(both) - together - first_only - second_only))


def methods_compared(at: Mapping[str, RankMatrix], grid: Grid) -> list[MethodsCompared]:
    """Every two methods of a grid that share a budget, in every cell and at every threshold where some pair has both."""
    found: list[tuple[Cell, str, str, Difference]] = []
    for threshold, matrix in at.items():
        for cell in matrix.cells:
            if is_control(cell.method):
                continue
            for first, second in combinations(grid.methods, 2):
                if cell.method == first and cell.epsilon in grid.budgets(second):
                    paired = difference(matrix, cell, matrix, replace(cell, method=second))
                    found += [] if paired is None else [(cell, second, threshold, paired)]
    p_values = [mcnemar_exact(each.counts) for *_, each in found]
    return [MethodsCompared(*each, p, adjusted) for each, p, adjusted in zip(found, p_values, holm(p_values), strict=True)]


def _count(flags: Flags) -> int:
    return int(np.count_nonzero(flags))
