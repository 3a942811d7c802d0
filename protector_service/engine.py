"""Crafts the cloaks of one probe: all its rows in batches of one fixed shape, finished budgets first."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from protector_service.methods.method import Control, GradientMethod, Method
from protector_service.methods.row import Row, rows_of
from recognizers.recognizer import Recognizer


@dataclass(frozen=True)
class Cloak:
    """A finished cloak, before storage."""

    method: str
    epsilon: int  # levels
    n_iter: int
    pixels: NDArray[np.uint8]  # (S, S, 3) RGB
    largest_change: int  # levels
    zero_gradient_share: float  # 0..1


class Engine:
    """Steps rows with one source model.

    A batch always has `batch_rows` rows, the unused ones padded, so that which rows share a batch cannot change a cloak:
    convolutions round differently at another batch size. Several threads may craft at a time.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        *,
        batch_rows: int,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._recognizer = recognizer
        self.batch_rows = batch_rows
        self._device = device or torch.device("cpu")
        self._dtype = dtype
        self.gradients = 0  # image gradients computed so far, padding not counted
        self._counting = threading.Lock()

    def craft(
        self,
        probe: NDArray[np.uint8],
        *,
        y_true: int,
        methods: Sequence[Method],
        epsilons: Sequence[int],
        seed: int,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[Cloak]:
        """Crafts a probe's cloaks, each yielded when it is finished; the smallest budgets are finished first.

        Args:
            probe: (S, S, 3) RGB, S being the recognizer's input size.
            y_true: class index of the probe's identity.
            methods: any number, controls included.
            epsilons: budgets in levels, 0..255, distinct.
            seed: of the methods that draw random numbers.
            cancelled: asked before every step; once it says yes, the iterator ends.
        """
        x_0 = torch.tensor(probe, device=self._device).permute(2, 0, 1).to(self._dtype).contiguous()
        for method in methods:
            if isinstance(method, Control):
                for epsilon in method.budgets(epsilons):
                    yield _cloak(method, x_0, method.cloak(x_0, epsilon=epsilon, seed=seed), epsilon)
        gradient_methods = [method for method in methods if isinstance(method, GradientMethod)]
        if not gradient_methods:
            return
        clean_logits = self._clean_logits(x_0)
        rows = [
            row
            for method in gradient_methods
            for row in rows_of(method, x_0, label=method.label(clean_logits, y_true), epsilons=epsilons, seed=seed)
        ]
        for row in self._step_until_finished(rows, cancelled):
            yield _finished(row)

    def _step_until_finished(self, rows: Sequence[Row], cancelled: Callable[[], bool]) -> Iterator[Row]:
        yield from (row for row in rows if row.finished)
        active = [row for row in rows if not row.finished]
        while active and not cancelled():
            tails = [row.fork_due_tail() for row in active]
            stepped: list[Row] = []
            for row, tail, gradient in zip(active, tails, self._gradients(active), strict=True):
                for sharer in filter(None, (row, tail)):
                    if not sharer.finished:  # a tail of a budget that has as many steps as levels is born finished
                        sharer.step(gradient)
                    stepped.append(sharer)
            yield from sorted((row for row in stepped if row.finished), key=lambda row: row.epsilon)
            active = [row for row in stepped if not row.finished]

    def _gradients(self, rows: Sequence[Row]) -> Iterator[Tensor]:
        """The gradient (3, S, S) of each row's loss at its x."""
        for start in range(0, len(rows), self.batch_rows):
            batch = rows[start : start + self.batch_rows]
            padded = [*batch, *[batch[-1]] * (self.batch_rows - len(batch))]
            images = torch.stack([row.x for row in padded])
            labels = torch.tensor([row.label for row in padded], device=self._device)
            with self._counting:
                self.gradients += len(batch)
            yield from input_gradient(self._recognizer, images, labels)[: len(batch)]

    def _clean_logits(self, x_0: Tensor) -> Tensor:
        with torch.no_grad():
            return self._recognizer.logits(x_0.expand(self.batch_rows, -1, -1, -1).contiguous())[0]


def input_gradient(recognizer: Recognizer, images: Tensor, labels: Tensor) -> Tensor:
    """Gradient with respect to each image (N, 3, S, S) of its own cross-entropy J at its label (N,)."""
    images = images.detach().requires_grad_(True)
    loss = cross_entropy(recognizer.logits(images), labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, images)
    return gradient


def _finished(row: Row) -> Cloak:
    return _cloak(row.method, row.probe, row.x, row.epsilon, n_iter=row.steps_taken, zeros=row.zero_gradient_share)


def _cloak(method: Method, probe: Tensor, x: Tensor, epsilon: int, *, n_iter: int = 0, zeros: float = 0.0) -> Cloak:
    # Every iterate is a whole number of levels, so this conversion is exact; truncating a fraction would break the budget.
    pixels = x.round().to(torch.uint8)
    assert torch.equal(pixels.to(x.dtype), x)
    return Cloak(
        method=method.name,
        epsilon=epsilon,
        n_iter=n_iter,
        pixels=pixels.permute(1, 2, 0).contiguous().cpu().numpy(),
        largest_change=int((x - probe).abs().max()),
        zero_gradient_share=zeros,
    )
