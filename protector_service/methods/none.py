"""The control."""

from collections.abc import Sequence

from torch import Tensor

from protector_service.methods.method import Control


class NoCloak(Control):
    """The unperturbed probe: what storage, detection, resizing and classification do on their own."""

    name = "none"
    description = "Control: the probe itself, unperturbed."

    def budgets(self, epsilons: Sequence[int]) -> tuple[int, ...]:
        return (0,)

    def cloak(self, probe: Tensor, *, epsilon: int, seed: int) -> Tensor:
        return probe
