"""The fast gradient sign method."""

from protector_service.methods.bim import BasicIterativeMethod
from protector_service.methods.method import stated


class FastGradientSignMethod(BasicIterativeMethod):
    """FGSM (Goodfellow et al. 2015, section 4): BIM's one step from the probe, as long as the budget is wide.

    x + epsilon sign(gradient), within the pixel range: the method that BIM iterates (Ghafourian et al., section III-B).
    """

    name = "fgsm"
    description = "Fast gradient sign method: raises the loss of the true identity in one step of epsilon, untargeted."
    shares_trajectory = False

    @stated("min(1, epsilon)")
    def n_iter(self, epsilon: int) -> int:
        return min(1, epsilon)

    @stated("epsilon")
    def alpha(self, epsilon: int) -> int:
        return epsilon
