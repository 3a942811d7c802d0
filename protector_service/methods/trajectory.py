"""Trajectories of steps along signs, and how one serves every budget.

After i steps of one level no pixel has moved more than i levels, so the clip at epsilon cannot bind before step epsilon:
all budgets share the first epsilon steps exactly. There the smaller budget goes its own way; its next step uses the very
direction that the others' does. The paper's six budgets thus need 132 + (0 + 1 + 3 + 3 + 3) = 142 gradients, not 271.
"""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeAlias

from torch import Tensor

from protector_service.methods.asks import (
    Answer,
    Ask,
    Asking,
    Cloak,
    Crafting,
    CrossEntropy,
    Effort,
    counted,
    together,
)
from protector_service.methods.method import MethodJob

ALPHA = 1  # levels: Kurakin et al. 2017, section 2.2, so that every iterate is a whole number of levels
N_ITER = "floor(min(epsilon + 4, 1.25 epsilon))"


@dataclass(frozen=True)
class Point:
    """Where a trajectory is. Budgets that part go on from the same, so nothing of it may be changed in place."""

    x: Tensor  # (3, H, W)
    memory: Any  # what the direction before returned to be remembered; None at first
    step: int  # taken so far


Direction: TypeAlias = Callable[[Point], Asking[tuple[Tensor, Any]]]
"""What to take the sign of, (3, H, W), and what to remember of it."""


def loss_gradient(label: int) -> Direction:
    """The direction in which J, the cross-entropy at a label, grows."""

    def direction(at: Point) -> Asking[tuple[Tensor, Any]]:
        answer: Answer = yield Ask(at.x, CrossEntropy(label))
        return answer.gradient, None

    return direction


def iterations(epsilon: int) -> int:
    """Number of steps for a budget in levels: floor(min(epsilon + 4, 1.25 epsilon)), Kurakin et al. 2017, section 2.2."""
    return min(epsilon + 4, 5 * epsilon // 4)


def one_level(epsilon: int) -> int:  # noqa: ARG001 - the same for all
    """The size of a step for a budget, whatever it is: `ALPHA`."""
    return ALPHA


def clip(x: Tensor, probe: Tensor, epsilon: int) -> Tensor:
    """Clip_eps of Ghafourian et al., Eqs. 4 and 5: min(255, x_0 + eps, max(0, x_0 - eps, x)), in levels.

    Exact for whole levels; as the change x - x_0, which saves making both bounds at every step.
    """
    return (x - probe).clamp_(-epsilon, epsilon).add_(probe).clamp_(0, 255)


@dataclass
class _Branch:
    """Where some budgets are."""

    epsilons: tuple[int, ...]  # ascending
    x: Tensor
    memory: Any = None
    effort: Effort = field(default_factory=Effort)


def shared_trajectory(job: MethodJob, direction: Direction, *, spent: Effort | None = None) -> Crafting:
    """x <- Clip(x + sign(direction)) from the probe, `iterations` times: one trajectory for all budgets of a job.

    The direction at a step must not depend on the budget. `spent` is what it took to find out which to follow.
    """
    yield from _followed(job, direction, [_Branch(job.epsilons, job.probe, effort=spent or Effort())], iterations, one_level)


def separate_trajectories(
    job: MethodJob,
    direction: Direction,
    *,
    start: Callable[[int], Tensor] | None = None,
    n_iter: Callable[[int], int] = iterations,
    alpha: Callable[[int], int] = one_level,
) -> Crafting:
    """x <- Clip(x + alpha sign(direction)), a trajectory for each budget.

    Args:
        job: what is crafted.
        direction: which may depend on the budget by the start.
        start: x_0 for a budget, whole levels within it; by default the probe.
        n_iter: the number of steps for a budget, never fewer for a larger one.
        alpha: the size of a step for a budget, in whole levels.
    """
    branches = [_Branch((epsilon,), start(epsilon) if start else job.probe) for epsilon in job.epsilons]
    yield from _followed(job, direction, branches, n_iter, alpha)


def _followed(
    job: MethodJob,
    direction: Direction,
    branches: list[_Branch],
    n_iter: Callable[[int], int],
    alpha: Callable[[int], int],
) -> Crafting:
    for step in count():
        for branch in branches:
            if n_iter(branch.epsilons[0]) == step:
                branch.effort.n_iter = step
                yield Cloak(branch.epsilons[0], branch.x, copy(branch.effort))
                branch.epsilons = branch.epsilons[1:]
        branches = [branch for branch in branches if branch.epsilons]
        if not branches:
            return
        directions = yield from together(
            [
                counted(direction(Point(branch.x, branch.memory, step)), branch.effort, models=len(job.models))
                for branch in branches
            ]
        )
        followed = []
        for branch, (towards, memory) in zip(branches, directions, strict=True):
            stepped = branch.x.add(towards.sign(), alpha=alpha(branch.epsilons[-1]))
            for epsilons in _parting(branch.epsilons, step):
                x = clip(stepped, job.probe, epsilons[-1])
                followed.append(_Branch(epsilons, x, memory, copy(branch.effort)))
        branches = followed


def _parting(epsilons: tuple[int, ...], step: int) -> list[tuple[int, ...]]:
    """The budgets that take a step together: the smallest parts from the others where its clip may bind."""
    if len(epsilons) > 1 and epsilons[0] <= step:
        return [epsilons[:1], epsilons[1:]]
    return [epsilons]
