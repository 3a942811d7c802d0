"""The noise control."""

import numpy as np
import torch
from torch import Tensor

from protector_service.methods.draws import drawn_bytes
from protector_service.methods.method import Control, clip


class RandomNoise(Control):
    """Plus or minus epsilon at random on every pixel's channels: what any noise of that size would do."""

    name = "noise"
    description = "Noise control: the probe plus or minus epsilon at random on every pixel, clipped."

    def cloak(self, probe: Tensor, *, epsilon: int, seed: int) -> Tensor:
        return clip(probe + epsilon * random_signs(probe, epsilon=epsilon, seed=seed), probe, epsilon)


def random_signs(probe: Tensor, *, epsilon: int, seed: int) -> Tensor:
    """-1 or +1 for every element of a probe (3, S, S), independent between probes, budgets and seeds."""
    drawn = drawn_bytes("", probe, epsilon=epsilon, seed=seed, count=-(-probe.numel() // 8))
    bits = np.unpackbits(np.frombuffer(drawn, dtype=np.uint8))[: probe.numel()]
    return torch.from_numpy(bits.reshape(probe.shape)).to(probe) * 2 - 1
