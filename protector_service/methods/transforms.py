"""Gradients through a transform of the image that a model sees."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from protector_service.methods.asks import Answer, Ask, Asking, CrossEntropy

Transform: TypeAlias = Callable[[Tensor], Tensor]
"""A differentiable map of an image (3, H, W) to one of the same shape, in levels: the same each time it is called."""


def mean_gradient(x: Tensor, transforms: Sequence[Transform], label: int) -> Asking[Tensor]:
    """The mean over transforms T of the gradient of J(T(x)), the cross-entropy at a label, with respect to x (3, H, W)."""
    answers: list[Answer] = yield [Ask(transform(x), CrossEntropy(label)) for transform in transforms]
    pulled = [pull_back(x, transform, answer.gradient) for transform, answer in zip(transforms, answers, strict=True)]
    return torch.stack(pulled).mean(0)


def pull_back(x: Tensor, transform: Transform, gradient: Tensor) -> Tensor:
    """The adjoint of a transform at x: from a gradient in T(x) to one in x, both (3, H, W).

    It transforms once more, so that a method that waits for an answer holds images only.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_(True)
        along = (transform(x) * gradient).sum()
    (pulled,) = torch.autograd.grad(along, x)
    return pulled
