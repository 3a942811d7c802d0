"""The noise control."""

import numpy as np
import torch
from torch import Tensor

from protector_service.methods.asks import Cloak, Cost, Crafting
from protector_service.methods.draws import drawn_bytes
from protector_service.methods.method import Method, MethodJob
from protector_service.methods.trajectory import clip


class RandomNoise(Method):
    """Plus or minus epsilon at random on every pixel's channels: what any noise of that size would do."""

    name = "noise"
    description = "Noise control: the probe plus or minus epsilon at random on every pixel, clipped."
    control = True
    needs_label_set = False

    def cost(self, epsilon: int) -> Cost:
        return Cost()

    def craft(self, job: MethodJob) -> Crafting:
        for epsilon in job.epsilons:
            signs = random_signs(job.probe, epsilon=epsilon, seed=job.seed)
            yield Cloak(epsilon, clip(job.probe + epsilon * signs, job.probe, epsilon))


def random_signs(probe: Tensor, *, epsilon: int, seed: int) -> Tensor:
    """-1 or +1 for every element of a probe (3, H, W), independent between probes, budgets and seeds."""
    drawn = drawn_bytes("", probe, epsilon=epsilon, seed=seed, count=-(-probe.numel() // 8))
    bits = np.unpackbits(np.frombuffer(drawn, dtype=np.uint8))[: probe.numel()]
    return torch.from_numpy(bits.reshape(probe.shape)).to(probe) * 2 - 1
