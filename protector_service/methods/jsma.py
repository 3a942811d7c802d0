"""The Jacobian-based saliency map attack."""

import torch
from torch import Tensor

from protector_service.methods.asks import Answer, Ask, Asking, Cloak, Cost, Crafting, Effort, Objective, counted, together
from protector_service.methods.method import Method, MethodJob, stated

SALIENT = 256  # channels whose pairs are compared: all pairs of a 160 x 160 image would take 23 GB
MOST_CHANGED = 0.02  # of the channels
LARGEST_SIDE = 224  # for which the cost is stated; no larger image is changed more
MOST_PAIRS = int(MOST_CHANGED * 3 * LARGEST_SIDE**2) // 2


class SaliencyMapAttack(Method):
    """JSMA (Papernot et al. 2016, Algorithm 3, on logits, increasing channels only): few channels, changed by epsilon.

    A step raises the pair of channels that most raises the target's logit and lowers all others'; the target is the clean
    probe's second most probable class, and never the identity itself.
    """

    name = "jsma"
    description = (
        "Jacobian-based saliency map attack: raises few pixel channels by epsilon, towards the runner-up, targeted."
    )

    def cost(self, epsilon: int) -> Cost:
        return Cost(gradients=2 * MOST_PAIRS, forward_passes=1) if epsilon else Cost()

    @stated(
        target="the clean probe's second most probable class, the third if the second is the identity",
        n_iter="pairs of channels, until the target is reached, at most 2 % of the channels",
        pairs="of the 256 most salient channels",
    )
    def craft(self, job: MethodJob) -> Crafting:
        efforts = [Effort() for _ in job.epsilons]
        images = yield from together(
            [
                counted(_raised(job, epsilon, effort), effort, models=len(job.models))
                for epsilon, effort in zip(job.epsilons, efforts, strict=True)
            ]
        )
        for epsilon, image, effort in zip(job.epsilons, images, efforts, strict=True):
            yield Cloak(epsilon, image, effort)


def _raised(job: MethodJob, epsilon: int, effort: Effort) -> Asking[Tensor]:
    """The probe with pairs of channels raised by epsilon; counts the pairs."""
    if epsilon == 0:
        return job.probe
    clean: Answer = yield Ask(job.probe, gradient=False)
    others = [label for label in clean.logits.argsort(descending=True, stable=True).tolist()[1:] if label != job.y_true]
    if not others:
        return job.probe
    target = others[0]
    x, raised = job.probe.flatten(), (job.probe + epsilon).clamp(max=255).flatten()
    allowed = x < 255
    for _ in range(min(int(MOST_CHANGED * len(x)) // 2, MOST_PAIRS)):
        image = x.view_as(job.probe)
        answers: list[Answer] = yield [Ask(image, logit_of(target)), Ask(image, sum_of_logits)]
        if int(answers[0].logits.argmax()) == target:
            break
        of_target, of_all = (answer.gradient.flatten() for answer in answers)
        pair = best_pair(of_target, of_all - of_target, allowed)
        if not len(pair):
            break
        x = x.index_copy(0, pair, raised[pair])
        allowed = allowed.index_fill(0, pair, value=False)
        effort.n_iter += 1
    return x.view_as(job.probe)


def best_pair(alpha: Tensor, beta: Tensor, allowed: Tensor) -> Tensor:
    """The two channels with the largest alpha |beta|, where their sums are alpha > 0 and beta < 0, or none.

    Args:
        alpha: (N,) derivatives of the target's logit.
        beta: (N,) derivatives of the sum of all others.
        allowed: (N,) which channels may be changed. Of these the most salient by their own alpha |beta| are compared.
    """
    salient = torch.where((alpha > 0) & (beta < 0), alpha * beta.abs(), 0)
    chosen = torch.where(allowed, salient, -1).argsort(descending=True, stable=True)[:SALIENT]
    chosen = chosen[allowed[chosen]]
    alphas = alpha[chosen, None] + alpha[None, chosen]
    betas = beta[chosen, None] + beta[None, chosen]
    scores = torch.where((alphas > 0) & (betas < 0), alphas * betas.abs(), 0).triu(1)  # each pair once
    if not scores.any():
        return chosen[:0]
    return chosen[list(divmod(int(scores.argmax()), len(chosen)))]


def logit_of(label: int) -> Objective:
    """F_t: the logit of a class."""

    def logit(logits: Tensor, features: Tensor) -> Tensor:  # noqa: ARG001 - an objective's
        return logits[label]

    return logit


def sum_of_logits(logits: Tensor, features: Tensor) -> Tensor:  # noqa: ARG001 - an objective's
    """The sum of F over all classes."""
    return logits.sum()
