"""Projected gradient descent."""

import numpy as np
import torch
from torch import Tensor

from protector_service.methods.asks import Cost, Crafting
from protector_service.methods.draws import drawn_bytes
from protector_service.methods.method import Method, MethodJob, stated
from protector_service.methods.trajectory import N_ITER, clip, iterations, loss_gradient, separate_trajectories


class ProjectedGradientDescent(Method):
    """PGD (Madry et al. 2018, section 2.1): BIM from a random start within the budget.

    The start is a whole number of levels, so that every iterate is; steps are of one level, and as many as BIM's, where
    Madry et al. choose both by the data set.
    """

    name = "pgd"
    description = "Projected gradient descent: the basic iterative method from a seeded random start within the budget."

    def cost(self, epsilon: int) -> Cost:
        return Cost(gradients=iterations(epsilon))

    @stated(
        alpha="1 level",
        n_iter=N_ITER,
        start="the probe, a whole number of levels drawn uniformly from -epsilon..epsilon added to each sample, clipped",
    )
    def craft(self, job: MethodJob) -> Crafting:
        def start(epsilon: int) -> Tensor:
            return clip(job.probe + random_levels(job.probe, epsilon=epsilon, seed=job.seed), job.probe, epsilon)

        yield from separate_trajectories(job, loss_gradient(job.y_true), start=start)


def random_levels(probe: Tensor, *, epsilon: int, seed: int) -> Tensor:
    """A level of -epsilon..epsilon for every element of a probe (3, H, W), uniform and independent; see `drawn_bytes`.

    32 bits make a level, which leaves it uniform up to 511 parts in 2**32. Levels are centred as integers: of 16-bit floats
    bfloat16 has no odd ones above 256.
    """
    drawn = drawn_bytes("pgd ", probe, epsilon=epsilon, seed=seed, count=4 * probe.numel())
    places = np.frombuffer(drawn, dtype="<u4").astype(np.uint64) * np.uint64(2 * epsilon + 1) >> np.uint64(32)
    return torch.from_numpy((places.astype(np.int64) - epsilon).reshape(probe.shape)).to(probe)
