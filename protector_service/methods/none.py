"""The control."""

from collections.abc import Sequence

from protector_service.methods.asks import Cloak, Cost, Crafting
from protector_service.methods.method import Method, MethodJob


class NoCloak(Method):
    """The unperturbed probe: what storage, detection, resizing and classification do on their own."""

    name = "none"
    description = "Control: the probe itself, unperturbed."
    control = True
    needs_label_set = False

    def budgets(self, epsilons: Sequence[int]) -> tuple[int, ...]:
        return (0,)

    def cost(self, epsilon: int) -> Cost:
        return Cost()

    def craft(self, job: MethodJob) -> Crafting:
        yield Cloak(0, job.probe)
