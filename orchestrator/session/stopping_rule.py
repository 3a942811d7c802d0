"""Decides when a run has enough subjects: at a fixed number, or as soon as every interval is narrow.

A run looks at its intervals at the first 20, 40, 60, ... subjects of the draw only, so that the N at which it stops depends
on the observations alone: not on the order of the answers, on processes that were killed, or on how many worked on the run.
"""

from orchestrator.experiment.plan import LOOK_EVERY, Plan
from orchestrator.metrics.matrix import RankMatrix
from orchestrator.metrics.widest import widest


def first_look(plan: Plan) -> int:
    """The number of subjects that is wanted for the first look; for the only one where N is fixed."""
    return plan.subjects if plan.until_halfwidth is None else min(LOOK_EVERY, plan.subjects)


def next_look(plan: Plan, wanted: int, matrix: RankMatrix) -> int:
    """The number of subjects that is wanted after a look; not more than before if the run is done.

    Args:
        plan: Of the run.
        wanted: The number of subjects at the look.
        matrix: Of the first `wanted` subjects of the draw only, without missing answers; of fewer if the draw ran out.

    Returns:
        More than `wanted`: the number at the next look. `wanted`: the intervals are narrow, or there may be no more
        subjects. Fewer: the number of subjects that the draw had.
    """
    if plan.until_halfwidth is None:
        return wanted
    drawn = len(matrix.probes)
    assert drawn <= wanted, f"a look at {wanted} subjects was shown {drawn}"
    if drawn < wanted:
        return drawn or wanted  # a run in which nobody shows a face is short, not complete
    if widest(matrix, plan.grid).halfwidth <= plan.until_halfwidth:
        return wanted
    return min(wanted + LOOK_EVERY, plan.subjects)
