"""Decides when a run has enough subjects: at a fixed number, or as soon as every interval is narrow."""

from dataclasses import dataclass

from orchestrator.experiment.grid import Grid
from orchestrator.experiment.plan import LOOK_EVERY, Plan
from orchestrator.metrics.matrix import RankMatrix
from orchestrator.metrics.widest import widest


@dataclass(frozen=True)
class StoppingRule:
    """The numbers of subjects at which a run looks at its intervals, and what it does then.

    A look is at the first 20, 40, 60, ... subjects of the draw only, so that the N at which a run stops depends on the
    observations alone: not on the order of the answers, on processes that were killed, or on how many worked on the run.
    """

    grid: Grid
    max_subjects: int
    until_halfwidth: float | None  # points; None: one look, at `max_subjects`

    @classmethod
    def of(cls, plan: Plan) -> "StoppingRule":
        """The rule of a plan."""
        return cls(plan.grid, plan.subjects, plan.until_halfwidth)

    def first(self) -> int:
        """The number of subjects that is wanted for the first look."""
        return self.max_subjects if self.until_halfwidth is None else min(LOOK_EVERY, self.max_subjects)

    def after(self, wanted: int, matrix: RankMatrix) -> int:
        """The number of subjects that is wanted after a look; not more than before if the run is done.

        Args:
            wanted: The number of subjects at the look.
            matrix: Of the first `wanted` subjects of the draw only, without missing answers; of fewer if the draw ran out.

        Returns:
            More than `wanted`: the number at the next look. `wanted`: the intervals are narrow, or there may be no more
            subjects. Fewer: the number of subjects that the draw had.
        """
        if self.until_halfwidth is None:
            return wanted
        drawn = len(matrix.probes)
        assert drawn <= wanted, f"a look at {wanted} subjects was shown {drawn}"
        if drawn < wanted:
            return drawn or wanted  # a run in which nobody shows a face is short, not complete
        if widest(matrix, self.grid).halfwidth <= self.until_halfwidth:
            return wanted
        return min(wanted + LOOK_EVERY, self.max_subjects)
