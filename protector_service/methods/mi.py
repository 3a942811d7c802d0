"""The momentum iterative method, from which the field's transfer attacks derive."""

from typing import Any

from torch import Tensor

from protector_service.methods.asks import Answer, Ask, Asking, Cost, Crafting, CrossEntropy
from protector_service.methods.method import Method, MethodJob, stated
from protector_service.methods.trajectory import N_ITER, Point, iterations, shared_trajectory

MU = 1.0  # the decay of the momentum: Dong et al. 2018, section 4.1


class MomentumIterativeMethod(Method):
    """MI-FGSM (Dong et al. 2018, Eqs. 6 and 7): BIM along the sum of all gradients so far.

    Dong et al. take ten steps of epsilon / 10; here steps and their number are BIM's, so that what is compared is the
    direction. Those that derive from it say from where a step's gradient comes.
    """

    name = "mi"
    description = "Momentum iterative method: the basic iterative method along the accumulated gradients, untargeted."
    gradients_per_step = 1

    def cost(self, epsilon: int) -> Cost:
        return Cost(gradients=self.gradients_per_step * iterations(epsilon))

    @stated(alpha="1 level", n_iter=N_ITER, start="the probe", mu="1")
    def craft(self, job: MethodJob) -> Crafting:
        def direction(at: Point) -> Asking[tuple[Tensor, Any]]:
            momentum: Tensor | None = at.memory
            gradient = yield from self.gradient(job, at)
            step = unit_mean(gradient)
            momentum = step if momentum is None else MU * momentum + step  # Eq. 6: m <- mu m + g / |g|_1
            return momentum, momentum  # Eq. 7: x + alpha sign(m)

        yield from shared_trajectory(job, direction)

    def gradient(self, job: MethodJob, at: Point) -> Asking[Tensor]:
        """The gradient (3, H, W) of a step: of J, the cross-entropy at the true identity, at x."""
        answer: Answer = yield Ask(at.x, CrossEntropy(job.y_true))
        return answer.gradient


def unit_mean(gradient: Tensor) -> Tensor:
    """A gradient over the mean of its absolute values; 0 where it is 0."""
    scale = gradient.abs().mean()
    return gradient / scale if scale > 0 else gradient
