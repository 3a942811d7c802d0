"""How a job's source models see its images: each at its own input size, and several as one whose loss is their mean."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
from torch import Tensor

from protector_service.methods.asks import Answer, Ask
from protector_service.resampling import Resampling


@dataclass(frozen=True)
class View:
    """A source model, and how it sees an image of another size than its input: a crop of an ensemble's, or a photo's box."""

    model: str
    resampling: Resampling | None = None  # None: images have its input size
    head: Callable[[Tensor], Tensor] | None = None  # in place of the model's own

    def image(self, x: Tensor) -> Tensor:
        """What the model sees of an image (3, H, W): (3, s, s)."""
        return x if self.resampling is None else self.resampling.image(x)

    def pull_back(self, gradient: Tensor) -> Tensor:
        """The adjoint: from a gradient in what the model sees (3, s, s) to one in the image (3, H, W)."""
        return gradient if self.resampling is None else self.resampling.pull_back(gradient)


def views_of(
    sizes: Mapping[str, int],
    *,
    shape: tuple[int, int],
    device: torch.device,
    dtype: torch.dtype,
    heads: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType({}),
) -> tuple[View, ...]:
    """How source models see images of a shape (H, W).

    Their input sizes are given by name, and so are heads of a job's. Models of one input size share a resampling.
    """
    resamplings = {
        size: None if shape == (size, size) else Resampling(shape, to=size, device=device, dtype=dtype)
        for size in set(sizes.values())
    }
    return tuple(View(name, resamplings[size], heads.get(name)) for name, size in sizes.items())


def asked_views(ask: Ask, views: Sequence[View]) -> Sequence[View]:
    """Those of the source models that an ask goes to; none where it names another."""
    return [view for view in views if ask.model in ("", view.model)]


def member_asks(ask: Ask, views: Sequence[View]) -> list[Ask]:
    """An ask as asks of the models that it goes to."""
    return [replace(ask, image=view.image(ask.image), model=view.model, head=view.head) for view in asked_views(ask, views)]


def joint_answer(ask: Ask, answers: Sequence[Answer], views: Sequence[View]) -> Answer:
    """The answer to an ask from those of the models that it went to: of several, the mean over them.

    As logits, the mean of the log-probabilities; none where the members do not have the same number of classes.
    """
    asked = asked_views(ask, views)
    if len(asked) == 1:
        (answer,), (view,) = answers, asked
        return replace(answer, gradient=view.pull_back(answer.gradient)) if ask.gradient else answer
    joint = Answer()
    if len({answer.logits.shape for answer in answers}) == 1:
        joint = replace(joint, logits=torch.stack([answer.logits.log_softmax(0) for answer in answers]).mean(0))
    if ask.objective is not None:
        joint = replace(joint, loss=torch.stack([answer.loss for answer in answers]).mean())
    if ask.gradient:
        gradients = [view.pull_back(answer.gradient) for view, answer in zip(asked, answers, strict=True)]
        joint = replace(joint, gradient=torch.stack(gradients).mean(0))
    return joint
