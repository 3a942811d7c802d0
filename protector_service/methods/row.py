"""Rows: one image on one trajectory, and how one trajectory serves every budget.

After i steps of one level no pixel has moved more than i levels, so the clip at epsilon cannot bind before step epsilon:
all budgets share the first epsilon steps exactly. When a row has taken as many steps as a smaller budget has levels, it
forks a tail for that budget; the tail's first step uses the very gradient that the row computes there anyway. The paper's
six budgets thus need 132 + (0 + 1 + 3 + 3 + 3) = 142 gradients, not 271.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from torch import Tensor

from protector_service.methods.method import GradientMethod, clip


@dataclass
class Row:
    """One image on one trajectory. `probe` and `x` are (3, S, S), whole levels 0..255."""

    method: GradientMethod
    probe: Tensor
    x: Tensor
    label: int
    epsilon: int
    steps_left: int
    smaller_epsilons: list[int] = field(default_factory=list)  # budgets yet to fork off, ascending
    steps_taken: int = 0
    nonzero_gradients: Tensor | int = 0  # elements, summed over the steps taken; on the device until it is asked for

    @property
    def finished(self) -> bool:
        return self.steps_left == 0

    @property
    def zero_gradient_share(self) -> float:
        """Share (0..1) of elements with a gradient of exactly zero, averaged over the steps; 0 before the first."""
        elements = self.probe.numel() * self.steps_taken
        return 1 - int(self.nonzero_gradients) / elements if elements else 0.0

    def fork_due_tail(self) -> Self | None:
        """The tail of the budget that is due at this step, which then goes its own way; None where none is due."""
        if not self.smaller_epsilons or self.smaller_epsilons[0] != self.steps_taken:
            return None
        epsilon = self.smaller_epsilons.pop(0)
        return type(self)(
            method=self.method,
            probe=self.probe,
            x=self.x,
            label=self.label,
            epsilon=epsilon,
            steps_left=steps_of(self.method, epsilon) - self.steps_taken,
            steps_taken=self.steps_taken,
            nonzero_gradients=self.nonzero_gradients,
        )

    def step(self, gradient: Tensor) -> None:
        """Takes one step along the gradient (3, S, S) of the loss at `x`."""
        stepped = self.method.step(self.x, gradient, alpha=self.method.alpha(self.epsilon))
        self.x = clip(stepped, self.probe, self.epsilon)
        signs = gradient.sign().flatten()
        self.nonzero_gradients = self.nonzero_gradients + signs.dot(signs)  # a ninth of the time of counting them
        self.steps_taken += 1
        self.steps_left -= 1


def steps_of(method: GradientMethod, epsilon: int) -> int:
    """Steps that a method takes for a budget.

    Raises:
        BrokenMethodError: it states no number of steps, or too few to share a trajectory.
    """
    n_iter = method.n_iter(epsilon)
    least = epsilon if method.shares_trajectory else 0
    if not isinstance(n_iter, int) or n_iter < least:
        raise method.broken(expected=f"at least {least} steps for a budget of {epsilon} levels", actual=repr(n_iter))
    return n_iter


def rows_of(method: GradientMethod, probe: Tensor, *, label: int, epsilons: Sequence[int], seed: int) -> list[Row]:
    """The rows to start with: one for all budgets where the method's trajectory can be shared, else one for each."""
    budgets = method.budgets(epsilons)
    starting = budgets[-1:] if method.shares_trajectory else budgets
    return [
        Row(
            method=method,
            probe=probe,
            x=method.start(probe, epsilon=epsilon, seed=seed),
            label=label,
            epsilon=epsilon,
            steps_left=steps_of(method, epsilon),
            smaller_epsilons=list(budgets[:-1]) if method.shares_trajectory else [],
        )
        for epsilon in starting
    ]
