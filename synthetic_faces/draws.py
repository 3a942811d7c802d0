"""Seeded random numbers that are the same on every machine."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


class Draws:
    """A stream of random numbers that depends on nothing but its key.

    Uniform numbers only: NumPy's normal ones call the machine's logarithm in their tails.
    """

    def __init__(self, *key: int) -> None:
        self._generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))

    def between(self, low: float, high: float) -> float:
        """Uniform in low..high."""
        return low + (high - low) * self._generator.random()

    def about(self, centre: float, spread: float) -> float:
        """Bell-shaped around the centre, never farther than the spread."""
        return centre + spread * (self._generator.random() + self._generator.random() + self._generator.random() - 1.5) / 1.5

    def chance(self, probability: float) -> bool:
        """True this often."""
        return self._generator.random() < probability

    def pick(self, choices: Sequence[T], weights: Sequence[float]) -> T:
        """One of the choices, each as often as its weight says; the weights add up to 1."""
        point = self._generator.random()
        for choice, weight in zip(choices, weights, strict=True):
            point -= weight
            if point < 0:
                return choice
        return choices[-1]

    def grid(self, *shape: int) -> NDArray[np.float32]:
        """Uniform numbers in -1..1."""
        return 2.0 * self._generator.random(shape, dtype=np.float32) - 1.0
