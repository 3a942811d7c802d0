"""What a method is: a generator that asks source models about images, is answered, and hands out cloaks."""

import hashlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Protocol, Self, TypeVar

from torch import Tensor

from protector_service.methods.asks import Cost, Crafting
from protector_service.methods.draws import Draws, probe_bytes

logger = logging.getLogger(__name__)


class Candidates(Protocol):
    """The identities that all source models of a job know."""

    def __len__(self) -> int:
        """How many they are."""
        ...

    def centroid(self, model: str, place: int) -> Tensor:
        """Where a source model puts one of them: the direction of its features (F,), of unit length."""
        ...


@dataclass(frozen=True)
class OwnBudget:
    """What bounds the cloaks of a method that no epsilon bounds."""

    in_words: str  # such as "DSSIM 0.012"
    largest_change: int  # levels, 1..255, that no channel is changed beyond


@dataclass(frozen=True)
class MethodJob:
    """One probe for one method. The tensors are the method's own."""

    method: str
    probe: Tensor  # (3, H, W), whole levels 0..255; a photo's box may be a pixel wider than it is high, or higher
    epsilons: tuple[int, ...]  # levels, ascending
    y_true: int  # class of the probe's identity
    seed: int = 0
    models: tuple[str, ...] = ("",)  # the source models; several are an ensemble
    candidates: Candidates | None = field(default=None, compare=False)  # whom a cloak can be made to look like

    def draws(self, *, step: int = 0, copy: int = 0) -> Draws:
        """Random numbers of a step and a copy: the same for every budget, so that budgets can share a trajectory."""
        return Draws(f"{self.method} {self.seed} {step} {copy} ".encode() + self._digest)

    @cached_property
    def _digest(self) -> bytes:
        return hashlib.sha256(probe_bytes(self.probe)).digest()


Function = TypeVar("Function", bound=Callable[..., Any])


def stated(**parameters: str) -> Callable[[Function], Function]:
    """Says in words with what parameters a function of a method computes, for whoever reads about a run.

    The words belong to that very function: a method that overrides it says its own, or nothing.
    """

    def say(function: Function) -> Function:
        function.__dict__["stated"] = parameters
        return function

    return say


class BrokenMethodError(Exception):
    """A method does not keep what its interface promises; what it made must not leave as a cloak."""


class Method(ABC):
    """A way to craft cloaks, by name. It is made without arguments, and keeps nothing from one call to the next."""

    name: ClassVar[str]  # on the wire, and of its entry point
    description: ClassVar[str]  # one sentence
    control: ClassVar[bool] = False  # what a photo meets without its owner's protection; asks no network
    needs_label_set: ClassVar[bool] = True  # reads y_true or the logits
    needs_candidates: ClassVar[bool] = False  # reads those of its job
    own_budget: ClassVar[OwnBudget | None] = None  # None: it keeps to the epsilons that are asked for
    carrier: ClassVar[str] = "probe"  # which picture it is meant for: the one that is searched, or the "gallery"'s
    settable: ClassVar[Mapping[str, range]] = {}  # attributes that an operator may set, and to which whole numbers

    @abstractmethod
    def craft(self, job: MethodJob) -> Crafting:
        """Yields asks, is sent answers, and yields the cloak of each budget of the job, the smallest budget first."""

    @abstractmethod
    def cost(self, epsilon: int) -> Cost:
        """What a budget takes at most; a method that takes much more than its budgets do is ended."""

    def budgets(self, epsilons: Sequence[int]) -> tuple[int, ...]:
        """The budgets crafted when these are asked for, ascending; 0 alone of a method with a budget of its own."""
        return tuple(sorted(epsilons)) if self.own_budget is None else (0,)

    def parameters(self) -> Mapping[str, str]:
        """What its functions are `stated` to compute with, and what is settable, by name."""
        said = {name: str(getattr(self, name)) for name in self.settable}
        for name in dir(type(self)):
            said |= getattr(getattr(type(self), name), "stated", {})
        return dict(sorted(said.items()))

    def having(self, **values: int) -> Self:
        """The same method with other values of what is settable."""
        other = copy(self)
        vars(other).update(values)
        return other

    def broken(self, *, expected: str, actual: str) -> BrokenMethodError:
        """The error to raise where the method does not keep a promise. The operator reads why in the log."""
        message = f"{self.name}: expected {expected}, got {actual}"
        logger.error("method broken", extra={"reason": message})
        return BrokenMethodError(message)
