"""The noise control."""

import hashlib

import numpy as np
import torch
from torch import Tensor

from protector_service.methods.method import Control, clip


class RandomNoise(Control):
    """Plus or minus epsilon at random on every pixel's channels: what any noise of that size would do."""

    name = "noise"
    description = "Noise control: the probe plus or minus epsilon at random on every pixel, clipped."

    def cloak(self, probe: Tensor, *, epsilon: int, seed: int) -> Tensor:
        return clip(probe + epsilon * random_signs(probe, epsilon=epsilon, seed=seed), probe, epsilon)


def random_signs(probe: Tensor, *, epsilon: int, seed: int) -> Tensor:
    """-1 or +1 for every element of a probe (3, S, S), independent between probes, budgets and seeds.

    The bits are SHAKE-256 of seed, epsilon and probe, so that they are the same on every machine and in every version of
    every library.
    """
    key = hashlib.shake_256(f"{seed} {epsilon} ".encode())
    key.update(probe.to(torch.uint8).cpu().contiguous().numpy().tobytes())
    bits = np.unpackbits(np.frombuffer(key.digest(-(-probe.numel() // 8)), dtype=np.uint8))[: probe.numel()]
    return torch.from_numpy(bits.reshape(probe.shape)).to(probe) * 2 - 1
