"""The fast gradient sign method."""

from protector_service.methods.asks import Cost, Crafting
from protector_service.methods.method import Method, MethodJob, stated
from protector_service.methods.trajectory import loss_gradient, separate_trajectories


class FastGradientSignMethod(Method):
    """FGSM (Goodfellow et al. 2015, section 4): BIM's one step from the probe, as long as the budget is wide.

    x + epsilon sign(gradient), within the pixel range: the method that BIM iterates (Ghafourian et al., section III-B).
    """

    name = "fgsm"
    description = "Fast gradient sign method: raises the loss of the true identity in one step of epsilon, untargeted."

    def cost(self, epsilon: int) -> Cost:
        return Cost(gradients=_steps(epsilon))

    @stated(alpha="epsilon", n_iter="min(1, epsilon)", start="the probe")
    def craft(self, job: MethodJob) -> Crafting:
        gradient = loss_gradient(job.y_true)
        yield from separate_trajectories(job, gradient, n_iter=_steps, alpha=lambda epsilon: epsilon)


def _steps(epsilon: int) -> int:
    return min(1, epsilon)
