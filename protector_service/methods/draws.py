"""Random numbers that depend on nothing but what they are for.

They are SHAKE-256 of what they are for, so that they are the same on every machine and in every version of every library,
whatever else is drawn.
"""

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Draws:
    """A stream of random numbers, independent between keys."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._drawn = 0  # times

    def uniform(self, count: int) -> NDArray[np.float64]:
        """Numbers (count,) of [0, 1), of 53 bits each."""
        stream = hashlib.shake_256(self._key + self._drawn.to_bytes(4, "little")).digest(8 * count)
        self._drawn += 1
        return (np.frombuffer(stream, dtype="<u8") >> np.uint64(11)).astype(np.float64) * np.float64(2.0**-53)

    def integers(self, low: int, high: int, count: int) -> list[int]:
        """Whole numbers of low..high, both included."""
        return [int(number) for number in low + np.floor(self.uniform(count) * (high - low + 1))]

    def permutation(self, count: int) -> list[int]:
        """The numbers 0..count-1 in random order."""
        return [int(place) for place in np.argsort(self.uniform(count), kind="stable")]


def drawn_bytes(purpose: str, probe: Tensor, *, epsilon: int, seed: int, count: int) -> bytes:
    """Uniform bytes, independent between purposes, seeds, budgets and probes (3, H, W)."""
    key = hashlib.shake_256(f"{purpose}{seed} {epsilon} ".encode())
    key.update(probe_bytes(probe))
    return key.digest(count)


def probe_bytes(probe: Tensor) -> bytes:
    """The levels of a probe (3, H, W), a byte each."""
    levels: bytes = probe.to(torch.uint8).cpu().contiguous().numpy().tobytes()
    return levels
