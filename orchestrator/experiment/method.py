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
class OwnBudget:
    """What bounds the cloaks of a method that no epsilon bounds."""

    in_words: str
    largest_change: int  # levels, that no channel is changed beyond


@dataclass(frozen=True)
class Method:
    """A method as its protector lists it."""

    parameters: Mapping[str, str] = field(default_factory=dict)  # what it computes with, in words; what is stated of it
    needs_label_set: bool = False
    costs: Mapping[int, Cost] = field(default_factory=dict)  # by budget, in levels, 0 for its own; those that are stated
    own_budget: OwnBudget | None = None  # None: it keeps to an epsilon
    carrier: str = ""  # which picture it is meant for: "probe" or "gallery"; empty where it is not stated
