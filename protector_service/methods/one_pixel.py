"""The one-pixel attack."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protector_service.methods.asks import Answer, Ask, Asking, Cloak, Cost, Crafting, CrossEntropy, Effort, counted
from protector_service.methods.draws import Draws
from protector_service.methods.method import Method, MethodJob

WEIGHT = 0.5  # F of differential evolution: Su et al. 2019, section III-C
TOGETHER = 4  # candidates asked about at a time: each is an image in memory


class OnePixelAttack(Method):
    """The one-pixel attack (Su et al. 2019, section III): few pixels, found by differential evolution, without gradients.

    A candidate is the place and the change of each of its pixels, (d, 5): row and column as shares of the sides, and three
    changes as shares of epsilon, -1..1. Su et al. let 400 candidates evolve for 100 generations and a pixel take any colour.
    """

    name = "one-pixel"
    description = "One-pixel attack: changes the pixels that differential evolution finds, without gradients, untargeted."
    pixels = 1  # changed at most; Su et al.: 1, 3 and 5
    population = 100
    generations = 20
    settable: ClassVar[Mapping[str, range]] = {
        "pixels": range(1, 6),
        "population": range(4, 1001),  # a child has three parents beside the one that it competes with
        "generations": range(1, 1001),
    }

    def cost(self, epsilon: int) -> Cost:
        return Cost(forward_passes=self.population * (1 + self.generations) if epsilon else 0)

    def craft(self, job: MethodJob) -> Crafting:
        for epsilon in job.epsilons:
            if epsilon == 0:
                yield Cloak(0, job.probe)
                continue
            effort = Effort(n_iter=self.generations)
            best = yield from counted(self._evolved(job, epsilon), effort, models=len(job.models))
            yield Cloak(epsilon, painted(job.probe, best, epsilon), effort)

    def _evolved(self, job: MethodJob, epsilon: int) -> Asking[NDArray[np.float64]]:
        """The candidate (d, 5) with the largest loss of the true identity, which is the least p(y_true)."""
        shape = (self.population, self.pixels, 5)
        candidates = _within(
            job.draws().uniform(self.population * self.pixels * 5).reshape(shape) * [1, 1, 2, 2, 2] - [0, 0, 1, 1, 1]
        )
        losses = yield from _losses(job, candidates, epsilon)
        for generation in range(1, self.generations + 1):
            draws = job.draws(step=generation)
            parents = np.array([_three_others(draws, self.population, each) for each in range(self.population)])
            first, second, third = (candidates[parents[:, place]] for place in range(3))
            children = _within(first + WEIGHT * (second - third))  # Eq. 3; without crossover
            found = yield from _losses(job, children, epsilon)
            better = found > losses
            candidates[better], losses[better] = children[better], found[better]
        best: NDArray[np.float64] = candidates[int(losses.argmax())]
        return best


def painted(probe: Tensor, candidate: NDArray[np.float64], epsilon: int) -> Tensor:
    """A probe (3, H, W) with the pixels of a candidate (d, 5) changed, in whole levels."""
    height, width = probe.shape[1:]
    image = probe.clone()
    for row, column, *change in candidate:
        place = (slice(None), int(row * height), int(column * width))
        levels = torch.tensor(np.round(np.array(change) * epsilon), device=probe.device, dtype=probe.dtype)
        image[place] = (probe[place] + levels).clamp(0, 255)
    return image


def _losses(job: MethodJob, candidates: NDArray[np.float64], epsilon: int) -> Asking[NDArray[np.float64]]:
    """The loss J of the true identity of each candidate."""
    losses: list[float] = []
    for first in range(0, len(candidates), TOGETHER):
        asks = [
            Ask(painted(job.probe, candidate, epsilon), CrossEntropy(job.y_true), gradient=False)
            for candidate in candidates[first : first + TOGETHER]
        ]
        answers: list[Answer] = yield asks
        losses += [float(answer.loss) for answer in answers]
    return np.array(losses)


def _three_others(draws: Draws, count: int, place: int) -> list[int]:
    """Three different candidates, none of them the one at a place."""
    return [each for each in draws.permutation(count) if each != place][:3]


def _within(candidates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places within the image, and changes within the budget."""
    places = np.clip(candidates[..., :2], 0, np.nextafter(1, 0))
    changes = np.clip(candidates[..., 2:], -1, 1)
    return np.concatenate([places, changes], axis=-1)
