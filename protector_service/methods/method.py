"""What a method is: it declares its rows, and an engine steps them."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

from torch import Tensor

logger = logging.getLogger(__name__)

ALPHA = 1  # levels: Kurakin et al. 2017, section 2.2, so that every iterate is a whole number of levels


def iterations(epsilon: int) -> int:
    """Number of steps for a budget in levels: floor(min(epsilon + 4, 1.25 epsilon)), Kurakin et al. 2017, section 2.2."""
    return min(epsilon + 4, 5 * epsilon // 4)


def clip(x: Tensor, probe: Tensor, epsilon: int) -> Tensor:
    """Clip_eps of Ghafourian et al., Eqs. 4 and 5: min(255, x_0 + eps, max(0, x_0 - eps, x)), in levels.

    Exact for whole levels; as the change x - x_0, which saves making both bounds at every step.
    """
    return (x - probe).clamp_(-epsilon, epsilon).add_(probe).clamp_(0, 255)


Function = TypeVar("Function", bound=Callable[..., Any])


def stated(words: str) -> Callable[[Function], Function]:
    """Says in words what a function of a method gives, for whoever reads about a run.

    The words belong to that very function: a method that overrides it says its own, or nothing.
    """

    def say(function: Function) -> Function:
        function.__dict__["stated"] = words
        return function

    return say


def statement(function: Callable[..., Any]) -> str:
    """What is said of a function by `stated`; empty where that is nothing."""
    words: str = getattr(function, "stated", "")
    return words


class BrokenMethodError(Exception):
    """A method does not keep what its interface promises; what it made must not leave as a cloak."""


class Method(ABC):
    """A way to craft cloaks, by name. It is made without arguments, and keeps nothing from one call to the next.

    Tensors that it is handed are others' too: it changes none in place.
    """

    name: ClassVar[str]  # on the wire, and of its entry point
    description: ClassVar[str]  # one sentence

    def budgets(self, epsilons: Sequence[int]) -> tuple[int, ...]:
        """The budgets crafted when these are asked for, ascending."""
        return tuple(sorted(epsilons))

    def broken(self, *, expected: str, actual: str) -> BrokenMethodError:
        """The error to raise where the method does not keep a promise. The operator reads why in the log."""
        message = f"{self.name}: expected {expected}, got {actual}"
        logger.error("method broken", extra={"reason": message})
        return BrokenMethodError(message)


class Control(Method):
    """A method that asks no network: what a protector's photo meets without its protection."""

    @abstractmethod
    def cloak(self, probe: Tensor, *, epsilon: int, seed: int) -> Tensor:
        """The cloak of a probe; both (3, S, S), whole levels 0..255, of one floating-point type."""


class GradientMethod(Method):
    """A method that follows the sign of the loss gradient with respect to the image, J being the cross-entropy.

    `shares_trajectory` promises that the first epsilon steps do not depend on epsilon, so that one trajectory serves every
    budget: whole-number pixels, alpha of one level, a start that is the same for all, a label fixed at the start, and at
    least epsilon steps for a budget of epsilon.
    """

    shares_trajectory: ClassVar[bool] = True

    @stated("floor(min(epsilon + 4, 1.25 epsilon))")
    def n_iter(self, epsilon: int) -> int:
        """Steps taken for a budget in levels."""
        return iterations(epsilon)

    @stated("1 level")
    def alpha(self, epsilon: int) -> int:
        """Size of a step for a budget, both in levels."""
        return ALPHA

    @stated("the probe")
    def start(self, probe: Tensor, *, epsilon: int, seed: int) -> Tensor:
        """x_0 of Eqs. 4 and 5, (3, S, S), whole levels within the budget: the probe itself."""
        return probe

    @abstractmethod
    def label(self, clean_logits: Tensor, y_true: int) -> int:
        """The class whose loss is followed, from the logits (C,) of the clean probe. Fixed for the whole trajectory."""

    @abstractmethod
    def step(self, x: Tensor, gradient: Tensor, *, alpha: int) -> Tensor:
        """One unclipped step of `alpha` levels from x along the gradient of J; both (3, S, S). The engine clips it."""
