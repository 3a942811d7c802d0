"""The basic iterative method."""

from torch import Tensor

from protector_service.methods.method import GradientMethod


class BasicIterativeMethod(GradientMethod):
    """BIM (Kurakin et al. 2017, section 2.2; Ghafourian et al., Eq. 4): climbs the loss of the true identity."""

    name = "bim"
    description = "Basic iterative method: raises the loss of the true identity, untargeted."

    def label(self, clean_logits: Tensor, y_true: int) -> int:
        return y_true

    def step(self, x: Tensor, gradient: Tensor, *, alpha: int) -> Tensor:
        return x.add(gradient.sign(), alpha=alpha)  # Eq. 4: x + alpha sign(gradient)
