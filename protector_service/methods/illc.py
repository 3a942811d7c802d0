"""The iterative least-likely-class method."""

from typing import Any

from torch import Tensor

from protector_service.methods.asks import Answer, Ask, Asking, Cost, Crafting, CrossEntropy, Effort
from protector_service.methods.method import Method, MethodJob, stated
from protector_service.methods.trajectory import N_ITER, Point, iterations, shared_trajectory


class IterativeLeastLikelyClass(Method):
    """ILLC (Kurakin et al. 2017, section 2.3; Ghafourian et al., Eq. 5): descends the loss of the least likely class."""

    name = "illc"
    description = "Iterative least-likely class: lowers the loss of the clean probe's least likely class, targeted."

    def cost(self, epsilon: int) -> Cost:
        return Cost(gradients=iterations(epsilon), forward_passes=1)

    @stated(alpha="1 level", n_iter=N_ITER, start="the probe")
    def craft(self, job: MethodJob) -> Crafting:
        clean: Answer = yield Ask(job.probe, gradient=False)
        y_llc = least_likely(clean.logits)

        def direction(at: Point) -> Asking[tuple[Tensor, Any]]:
            answer: Answer = yield Ask(at.x, CrossEntropy(y_llc))
            return -answer.gradient, None  # Eq. 5: x - alpha sign(gradient)

        yield from shared_trajectory(job, direction, spent=Effort(forward_passes=len(job.models)))


def least_likely(logits: Tensor) -> int:
    """The class with the smallest of the logits (C,); of those that tie, the lowest index."""
    return int((logits == logits.min()).nonzero()[0, 0])
