"""What a method asks of source models, and what it is answered."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

NOTHING = torch.empty(0)  # in an answer: what was not asked for

Objective: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""A differentiable function of one image's logits (C,) and features (D,); its value is a scalar."""


@dataclass(frozen=True)
class CrossEntropy:
    """J of Ghafourian et al., Eqs. 4 and 5: the cross-entropy at a label."""

    label: int

    def __call__(self, logits: Tensor, features: Tensor) -> Tensor:
        return functional.cross_entropy(logits, torch.tensor(self.label, device=logits.device))


@dataclass(frozen=True)
class FeatureDistance:
    """Squared Euclidean distance of an image's features to a vector (D,)."""

    target: Tensor

    def __call__(self, logits: Tensor, features: Tensor) -> Tensor:
        return (features - self.target).square().sum()


@dataclass(frozen=True)
class Ask:
    """A question about one image. Those of all jobs share batches.

    Without a `model` it goes to every source model of the job: of an ensemble the answer is the mean over its members.
    """

    image: Tensor  # (3, H, W), in levels; real numbers, whole or not
    objective: Objective | None = None
    gradient: bool = True  # False: a forward pass only, which takes a third of the time
    model: str = ""
    head: Callable[[Tensor], Tensor] | None = (
        None  # from features (1, D) to logits (1, C) in place of the model's; the engine's
    )


@dataclass(frozen=True)
class Answer:
    """What a source model answers about an image.

    Of an ensemble, `logits` are the mean of the members' log-probabilities, and there are no features: ask its members.
    """

    logits: Tensor = NOTHING  # (C,)
    features: Tensor = NOTHING  # (D,)
    loss: Tensor = NOTHING  # the objective's value, a scalar
    gradient: Tensor = NOTHING  # of the objective in the image, (3, H, W)
    nonzero: Tensor = field(init=False, repr=False)  # how many elements of the gradient are not zero, on its device

    def __post_init__(self) -> None:
        signs = self.gradient.sign()
        signs = signs.as_strided((signs.numel(),), (1,))  # as they lie in memory, whose order does not matter here
        object.__setattr__(self, "nonzero", signs.dot(signs))  # a ninth of the time of counting them


@dataclass
class Effort:
    """What was spent on a cloak."""

    n_iter: int = 0  # steps
    gradients: int = 0  # of source models, with respect to an image
    forward_passes: int = 0  # beside those of the gradients
    nonzero: Tensor | int = field(default=0, repr=False)  # elements of the gradients, on the device until it is asked for
    elements: int = 0

    def add(self, ask: Ask, answer: Answer, *, models: int) -> None:
        """Counts an ask that went to some number of models."""
        if ask.gradient:
            self.gradients += models
            self.nonzero = self.nonzero + answer.nonzero
            self.elements += answer.gradient.numel()
        else:
            self.forward_passes += models

    @property
    def zero_gradient_share(self) -> float:
        """Share (0..1) of elements with a gradient of exactly zero; 0 without any gradient."""
        return 1 - int(self.nonzero) / self.elements if self.elements else 0.0


@dataclass(frozen=True)
class Cost:
    """What one budget takes of each source model at most, crafted alone."""

    gradients: int = 0
    forward_passes: int = 0


@dataclass(frozen=True)
class Cloak:
    """What a method hands out for a budget. It is rounded to the nearest level, then held against the budget."""

    epsilon: int  # levels
    image: Tensor  # (3, H, W), in levels
    effort: Effort | None = None  # None: all that was spent since the method's cloak before it


T = TypeVar("T")
Asks: TypeAlias = Ask | Sequence[Ask]
Asking: TypeAlias = Generator[Asks, Any, T]
"""A generator that yields an `Ask` and is sent its `Answer`, or several and is sent a list, and returns a T."""

Crafting: TypeAlias = Generator[Asks | Cloak, Any, None]
"""An `Asking` that also yields cloaks, the smallest budget first; for these it is sent nothing."""


def together(parts: Sequence[Asking[T]]) -> Asking[list[T]]:
    """Runs several generators side by side, so that what they ask can share a batch; returns what each returns."""
    results: dict[int, T] = {}
    sending: dict[int, Any] = dict.fromkeys(range(len(parts)))
    while sending:
        asked: dict[int, Asks] = {}
        for place, answer in sending.items():
            try:
                asked[place] = parts[place].send(answer)
            except StopIteration as end:
                results[place] = end.value
        if not asked:
            break
        answers = iter((yield [ask for asks in asked.values() for ask in as_list(asks)]))
        sending = {
            place: next(answers) if isinstance(asks, Ask) else [next(answers) for _ in asks] for place, asks in asked.items()
        }
    return [results[place] for place in range(len(parts))]


def counted(part: Asking[T], effort: Effort, *, models: int) -> Asking[T]:
    """Adds up what a generator asks of some number of models."""
    answer: Any = None
    while True:
        try:
            asks = part.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result
        answer = yield asks
        for ask, one in zip(as_list(asks), [answer] if isinstance(asks, Ask) else answer, strict=True):
            effort.add(ask, one, models=1 if ask.model else models)


def as_list(asks: Asks) -> list[Ask]:
    """One or several asks as a list."""
    return [asks] if isinstance(asks, Ask) else list(asks)
