"""The iterative least-likely-class method."""

from torch import Tensor

from protector_service.methods.method import GradientMethod


class IterativeLeastLikelyClass(GradientMethod):
    """ILLC (Kurakin et al. 2017, section 2.3; Ghafourian et al., Eq. 5): descends the loss of the least likely class."""

    name = "illc"
    description = "Iterative least-likely class: lowers the loss of the clean probe's least likely class, targeted."

    def label(self, clean_logits: Tensor, y_true: int) -> int:
        least = (clean_logits == clean_logits.min()).nonzero()
        return int(least[0, 0])  # the lowest index of those that tie

    def step(self, x: Tensor, gradient: Tensor, *, alpha: int) -> Tensor:
        return x.add(gradient.sign(), alpha=-alpha)  # Eq. 5: x - alpha sign(gradient)
