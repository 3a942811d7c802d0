"""When a run has subjects enough: at a number fixed beforehand, or as soon as every interval is narrow."""

from dataclasses import dataclass

from orchestrator.experiment.grid import LOOK_EVERY, Grid
from orchestrator.experiment.manifest import Plan
from orchestrator.metrics.matrix import RankMatrix
from orchestrator.metrics.widest import widest


@dataclass(frozen=True)
class StoppingRule:
    """At how many subjects a run looks at its intervals, and what it does then.

    A look is at the first 20, 40, 60, ... subjects of the draw, and at these alone, so that the N at which a run stops
    depends on what was observed and on nothing else: not on the order in which answers came, who was killed meanwhile, or
    how many worked on it.
    """

    grid: Grid
    most: int  # subjects
    until_halfwidth: float | None  # points; None: one look, at the most

    @classmethod
    def of(cls, plan: Plan) -> "StoppingRule":
        """Those of a plan."""
        return cls(plan.grid, plan.subjects, plan.until_halfwidth)

    def first(self) -> int:
        """How many subjects are wanted for the first look."""
        return self.most if self.until_halfwidth is None else min(LOOK_EVERY, self.most)

    def after(self, wanted: int, matrix: RankMatrix) -> int:
        """How many subjects are wanted from now on; not more than before where the run is done.

        Args:
            wanted: so far.
            matrix: of the first `wanted` subjects of the draw, of which every call was made, and of no others; of fewer only
                where the draw has no more.

        Returns:
            More than `wanted`: up to the next look. As many: the intervals are narrow, or these are the most. Fewer: the
            draw has run out, and this is how many it had.
        """
        if self.until_halfwidth is None:
            return wanted
        drawn = len(matrix.probes)
        assert drawn <= wanted, f"a look at {wanted} subjects was shown {drawn}"
        if drawn < wanted:
            return drawn or wanted  # a run in which nobody shows a face is short, not complete
        if widest(matrix, self.grid).halfwidth <= self.until_halfwidth:
            return wanted
        return min(wanted + LOOK_EVERY, self.most)
