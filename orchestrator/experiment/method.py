"""Methods, as protectors list them."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cost:
    """What a cloak takes of one source model at most, crafted alone."""

    gradients: int
    forward_passes: int  # beside those of the gradients

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.gradients + other.gradients, self.forward_passes + other.forward_passes)

    def __mul__(self, times: int) -> "Cost":
        return Cost(self.gradients * times, self.forward_passes * times)


@dataclass(frozen=True)
class Method:
    """A method as its protector lists it."""

    parameters: Mapping[str, str] = field(default_factory=dict)  # what it computes with, in words; what is stated of it
    needs_label_set: bool = False
    costs: Mapping[int, Cost] = field(default_factory=dict)  # by budget, in levels; those that are stated
