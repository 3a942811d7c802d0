"""Drives a method by hand: its asks are answered one by one, by plain automatic differentiation, without engine or batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from protector_service.batched_model import BatchedModel
from protector_service.engine import Engine
from protector_service.job import CraftJob, FinishedCloak
from protector_service.methods.asks import NOTHING, Answer, Ask, Cloak, as_list
from protector_service.methods.method import Method, MethodJob
from recognizers.networks.recognizer import Recognizer

Answering: TypeAlias = Callable[[Ask], Answer]


@dataclass
class Driven:
    """What a method did."""

    cloaks: dict[int, Cloak] = field(default_factory=dict)  # by budget, in the order in which they came; not rounded
    rounds: list[list[Ask]] = field(default_factory=list)  # what it asked at a time

    @property
    def asks(self) -> list[Ask]:
        return [ask for asks in self.rounds for ask in asks]


def drive(method: Method, job: MethodJob, answering: Answering) -> Driven:
    """Crafts all cloaks of a job."""
    driven = Driven()
    generator = method.craft(job)
    came = next(generator)
    while True:
        try:
            if isinstance(came, Cloak):
                driven.cloaks[came.epsilon] = came
                came = next(generator)
                continue
            asks = as_list(came)
            driven.rounds.append(asks)
            answers = [answering(ask) for ask in asks]
            came = generator.send(answers[0] if isinstance(came, Ask) else answers)
        except StopIteration:
            return driven


def job_for(method: Method, probe: Tensor, *epsilons: int, y_true: int = 0, seed: int = 0) -> MethodJob:
    """A job for a probe (3, S, S)."""
    return MethodJob(method.name, probe, epsilons, y_true, seed)


def by_autograd(*recognizers: Recognizer) -> Answering:
    """Answers as one recognizer does, or as several whose losses are averaged."""

    def answer(ask: Ask) -> Answer:
        image = ask.image.detach().clone().requires_grad_(ask.gradient)
        features = [recognizer.features(seen(image, recognizer)[None])[0] for recognizer in recognizers]
        logits = [recognizer.head(each[None])[0] for recognizer, each in zip(recognizers, features, strict=True)]
        if ask.objective is None:
            return Answer(torch.stack(logits).mean(0).detach())
        losses = [ask.objective(*member) for member in zip(logits, features, strict=True)]
        loss = torch.stack(losses).mean()
        gradient: Tensor = torch.autograd.grad(loss, image)[0] if ask.gradient else NOTHING
        return Answer(torch.stack(logits).mean(0).detach(), loss=loss.detach(), gradient=gradient)

    return answer


def seen(image: Tensor, recognizer: Recognizer) -> Tensor:
    """An image (3, S, S) at a recognizer's input size, by PyTorch's own resampling."""
    side = recognizer.input_size
    if image.shape[-1] == side:
        return image
    return interpolate(image[None], size=(side, side), mode="bilinear", antialias=True)[0]


def mean_logits(image: Tensor, recognizers: Sequence[Recognizer]) -> Tensor:
    """The logits (C,) of an image (3, S, S), averaged over recognizers."""
    return torch.stack([recognizer.logits(seen(image, recognizer)[None])[0] for recognizer in recognizers]).mean(0)


def jacobian(logits_of: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    """The gradients (C, 3, S, S) of all logits (C,) with respect to an image (3, S, S), a class at a time."""
    x = image.detach().clone().requires_grad_(True)
    logits = logits_of(x)
    return torch.stack([torch.autograd.grad(logit, x, retain_graph=True)[0] for logit in logits])


def craft_with_all(
    method: Method,
    recognizers: Sequence[Recognizer],
    probe: Tensor,
    epsilons: Sequence[int],
    *,
    y_true: int,
    seed: int = 0,
) -> tuple[dict[int, FinishedCloak], list[BatchedModel]]:
    """The cloaks that an engine crafts with one or several source models, by budget, and these models."""
    models = {str(place): BatchedModel(each, batch_rows=4, dtype=probe.dtype) for place, each in enumerate(recognizers)}
    engine = Engine(models)
    try:
        job = CraftJob(tuple(models), levels(probe), y_true, (method,), tuple(epsilons), seed)
        return {cloak.epsilon: cloak for cloak in engine.craft(job)}, list(models.values())
    finally:
        engine.close()


def levels(image: Tensor) -> NDArray[np.uint8]:
    """An image (3, S, S) as pixels (S, S, 3), rounded to the nearest level."""
    return image.round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
