"""DeepFool, for the largest change of a pixel."""

import torch
from torch import Tensor

from protector_service.methods.asks import Answer, Ask, Cloak, Cost, Crafting, Effort, Objective
from protector_service.methods.method import Method, MethodJob, stated
from protector_service.methods.trajectory import clip

CANDIDATES = 10  # classes looked at: a gradient each
MAX_STEPS = 50
OVERSHOOT = 0.02


class DeepFool(Method):
    """DeepFool (Moosavi-Dezfooli et al. 2016, section 3.3 with p = infinity): to the nearest border of the identity's class.

    The classifier is taken to be linear where x is. It stops at the first border, so that one run serves every budget, which
    then clips it. It looks at the most probable classes of the clean probe only, as each takes a gradient a step.
    """

    name = "deepfool"
    description = "DeepFool: the least largest change of a pixel that leaves the class of the identity, clipped, untargeted."

    def cost(self, epsilon: int) -> Cost:
        return Cost(gradients=CANDIDATES * MAX_STEPS, forward_passes=1 + MAX_STEPS)

    @stated(candidates="the 10 most probable other classes", n_iter="until the class changes, at most 50", overshoot="0.02")
    def craft(self, job: MethodJob) -> Crafting:
        effort = Effort()
        clean: Answer = yield Ask(job.probe, gradient=False)
        effort.forward_passes += len(job.models)
        ranked = [label for label in clean.logits.argsort(descending=True, stable=True).tolist() if label != job.y_true]
        candidates = ranked[:CANDIDATES]
        x, logits = job.probe, clean.logits
        while int(logits.argmax()) == job.y_true and effort.n_iter < MAX_STEPS and candidates:
            asks = [Ask(x, margin(label, job.y_true)) for label in candidates]
            answers: list[Answer] = yield asks
            for ask, answer in zip(asks, answers, strict=True):
                effort.add(ask, answer, models=len(job.models))
            # l = argmin |f_l - f_0| / ||w_l - w_0||_1, w being gradients: the nearest border of the linearised classifier
            distances = torch.stack([answer.loss.abs() / answer.gradient.abs().sum() for answer in answers])
            if not distances.isfinite().any():  # no gradient leads anywhere
                break
            nearest = int(distances.nan_to_num(torch.inf).argmin())
            direction = answers[nearest].gradient.sign()
            x = (x + (1 + OVERSHOOT) * distances[nearest] * direction).clamp(0, 255)
            effort.n_iter += 1
            reached: Answer = yield Ask(x.round(), gradient=False)  # what a cloak would be
            effort.forward_passes += len(job.models)
            logits = reached.logits
        for epsilon in job.epsilons:
            yield Cloak(epsilon, clip(x, job.probe, epsilon), effort)


def margin(label: int, y_true: int) -> Objective:
    """f_l - f_0: how far the logit of a class is above that of the identity."""

    def difference(logits: Tensor, features: Tensor) -> Tensor:  # noqa: ARG001 - an objective's
        return logits[label] - logits[y_true]

    return difference
