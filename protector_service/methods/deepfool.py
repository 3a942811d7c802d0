"""DeepFool, for the largest change of a pixel."""

import torch
from torch import Tensor

from protector_service.methods.asks import Answer, Ask, Asking, Cloak, Cost, Crafting, Effort, Objective, counted
from protector_service.methods.method import Method, MethodJob, stated
from protector_service.methods.trajectory import clip

CANDIDATES = 10  # classes looked at: a gradient each
MAX_STEPS = 50
OVERSHOOT = 0.02
SMALLEST_STEP = 1e-4  # levels: so that x leaves a border that it is on exactly


class DeepFool(Method):
    """DeepFool (Moosavi-Dezfooli et al. 2016, section 3.3 with p = infinity): to the nearest border of the identity's class.

    The classifier is taken to be linear where x is. It stops at the first border, so that one run serves every budget, which
    then clips it. It looks at the most probable classes of the clean probe only, as each takes a gradient a step. A probe
    that is not taken for its identity is left as it is.
    """

    name = "deepfool"
    description = "DeepFool: the least largest change of a pixel that leaves the class of the identity, clipped, untargeted."

    def cost(self, epsilon: int) -> Cost:
        return Cost(gradients=CANDIDATES * MAX_STEPS, forward_passes=1 + MAX_STEPS) if epsilon else Cost()

    @stated(
        candidates="the 10 most probable other classes",
        n_iter="until the class of the rounded image changes, at most 50",
        overshoot="0.02",
    )
    def craft(self, job: MethodJob) -> Crafting:
        x: Tensor | None = None
        effort = Effort()
        for epsilon in job.epsilons:
            if epsilon == 0:
                yield Cloak(0, job.probe)
                continue
            if x is None:
                x = yield from counted(_misnamed(job, effort), effort, models=len(job.models))
            yield Cloak(epsilon, clip(x, job.probe, epsilon), effort)


def _misnamed(job: MethodJob, effort: Effort) -> Asking[Tensor]:
    """Where a run from the probe ends, real numbers of 0..255, whatever the budget; counts its steps."""
    x = job.probe
    answer: Answer = yield Ask(x, gradient=False)
    ranked = answer.logits.argsort(descending=True, stable=True).tolist()
    candidates = [label for label in ranked if label != job.y_true][:CANDIDATES]
    while int(answer.logits.argmax()) == job.y_true and candidates and effort.n_iter < MAX_STEPS:
        margins: list[Answer] = yield [Ask(x, margin(label, job.y_true)) for label in candidates]
        # l = argmin |f_l - f_0| / ||w_l - w_0||_1, w being gradients: the nearest border of the linearised classifier
        distances = torch.stack([each.loss.abs() / each.gradient.abs().sum() for each in margins])
        if not distances.isfinite().any():  # no gradient leads anywhere
            break
        nearest = int(distances.nan_to_num(torch.inf).argmin())
        step = (1 + OVERSHOOT) * distances[nearest].clamp(min=SMALLEST_STEP)
        x = (x + step * margins[nearest].gradient.sign()).clamp(0, 255)
        effort.n_iter += 1
        answer = yield Ask(x.round(), gradient=False)  # what a cloak would be
    return x


def margin(label: int, y_true: int) -> Objective:
    """f_l - f_0: how far the logit of a class is above that of the identity."""

    def difference(logits: Tensor, features: Tensor) -> Tensor:  # noqa: ARG001 - an objective's
        return logits[label] - logits[y_true]

    return difference
