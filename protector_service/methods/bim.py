"""The basic iterative method."""

from protector_service.methods.asks import Cost, Crafting
from protector_service.methods.method import Method, MethodJob, stated
from protector_service.methods.trajectory import N_ITER, iterations, loss_gradient, shared_trajectory


class BasicIterativeMethod(Method):
    """BIM (Kurakin et al. 2017, section 2.2; Ghafourian et al., Eq. 4): climbs the loss of the true identity."""

    name = "bim"
    description = "Basic iterative method: raises the loss of the true identity, untargeted."

    def cost(self, epsilon: int) -> Cost:
        return Cost(gradients=iterations(epsilon))

    @stated(alpha="1 level", n_iter=N_ITER, start="the probe")
    def craft(self, job: MethodJob) -> Crafting:
        # Eq. 4: x + alpha sign(gradient of J(x, y_true))
        yield from shared_trajectory(job, loss_gradient(job.y_true))
