"""One source model's answers, in batches of one fixed shape."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from protector_service.methods.asks import NOTHING, Answer, Ask, CrossEntropy
from recognizers.networks.recognizer import Recognizer
from recognizers.precision import Precision

_NO_LABEL = -100  # adds nothing to a cross-entropy


@dataclass(frozen=True, eq=False)
class _Logits:
    together: Tensor | None  # (batch_rows, C), the model's own head's; None where no ask wants that
    rows: Sequence[Tensor]  # of each ask: one of these, or of another C where it has a head of its own


class NonFiniteAnswerError(Exception):
    """A source model's answer, or the value or the gradient of an objective, is not a number."""


class BrokenObjectiveError(Exception):
    """An objective gives no scalar that depends on what it is given; the message says what came."""


class BatchedModel:
    """Answers asks, always `batch_rows` images at a time.

    Convolutions round differently at another batch size, so unused places are padded: which asks share a batch cannot
    change a cloak. With `fixed` off they are not, and a cloak depends on its neighbours by a rounding.

    Several threads may compute at a time.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        *,
        batch_rows: int,
        fixed: bool = True,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """`dtype` is the floating-point type of images and gradients, not of the network."""
        self.recognizer = recognizer
        self.batch_rows = batch_rows
        self.fixed = fixed
        self.device = device or torch.device("cpu")
        self.dtype = dtype
        self.gradients = 0  # computed so far, padding not counted
        self.forward_passes = 0  # likewise, beside those of gradients
        self._counting = threading.Lock()

    def answers(self, asks: Sequence[Ask]) -> list[Answer | Exception]:
        """The answer to each of 1..batch_rows asks, all for gradients or all without, or why there is none."""
        try:
            return self._with_gradients(asks) if asks[0].gradient else self._forward(asks)
        except BaseException as failure:  # noqa: BLE001 - whatever a network raises is its job's end, not the engine's
            if len(asks) == 1:
                return [as_exception(failure)]
        # Which is to blame is not known: each once more, alone. Batches of a fixed shape give the same answers.
        return [answer for ask in asks for answer in self.answers([ask])]

    def _with_gradients(self, asks: Sequence[Ask]) -> list[Answer | Exception]:
        images = self._batch(asks).requires_grad_(True)
        features = self.recognizer.features(images)
        logits = self._logits(asks, features)
        losses, failures = self._losses(asks, logits, features)
        if not losses:
            return list(failures.values())
        # Every loss depends on its own image only, so that the gradient of the sum holds the gradient of each.
        (gradients,) = torch.autograd.grad(torch.stack(list(losses.values())).sum(), images)
        with self._counting:
            self.gradients += len(asks)
        rows = [row.detach() for row in logits.rows]
        return _answers(rows, features.detach(), losses, failures, gradients)

    def _logits(self, asks: Sequence[Ask], features: Tensor) -> _Logits:
        """The head's, all at once, but row by row where an ask has a head of its own."""
        together = self.recognizer.head(features) if any(ask.head is None for ask in asks) else None
        rows = []
        for place, ask in enumerate(asks):
            if ask.head is not None:
                rows.append(ask.head(features[place : place + 1])[0])
            elif together is not None:
                rows.append(together[place])
        return _Logits(together, rows)

    def _losses(
        self, asks: Sequence[Ask], logits: _Logits, features: Tensor
    ) -> tuple[dict[int, Tensor], dict[int, Exception]]:
        """The objectives' values by place, and why an objective has none. One without a label adds no term for it."""
        losses: dict[int, Tensor] = {}
        failures: dict[int, Exception] = {}
        # What derives from it may compute otherwise.
        labels = [
            ask.objective.label if type(ask.objective) is CrossEntropy and ask.head is None else _NO_LABEL for ask in asks
        ]
        if logits.together is not None and any(label != _NO_LABEL for label in labels):
            padded = torch.tensor([*labels, *[_NO_LABEL] * (len(logits.together) - len(labels))], device=self.device)
            entropies = cross_entropy(logits.together, padded, reduction="none", ignore_index=_NO_LABEL)
            losses = {place: entropies[place] for place, label in enumerate(labels) if label != _NO_LABEL}
        for place, ask in enumerate(asks):
            if place not in losses and ask.objective is not None:
                try:
                    losses[place] = _value(ask, logits.rows[place], features[place])
                except BaseException as failure:  # noqa: BLE001 - one job's objective is not the others'
                    failures[place] = as_exception(failure)
        return losses, failures

    def _forward(self, asks: Sequence[Ask]) -> list[Answer | Exception]:
        with torch.no_grad():
            features = self.recognizer.features(self._batch(asks))
            logits = self._logits(asks, features)
            losses, failures = self._losses(asks, logits, features)
        with self._counting:
            self.forward_passes += len(asks)
        return _answers(logits.rows, features, losses, failures)

    def _batch(self, asks: Sequence[Ask]) -> Tensor:
        padding = self.batch_rows - len(asks) if self.fixed else 0
        return torch.stack([*(ask.image for ask in asks), *[asks[-1].image] * padding])

    def bytes_per_place(self) -> int:
        """Memory that one place of a batch takes for activations kept between forward and backward, by trying.

        A running batch takes `batch_rows` times as much, in each worker that computes; asks that wait take only their image.
        """
        return self._bytes_kept(images=2) - self._bytes_kept(images=1)  # the rest is weights

    def _bytes_kept(self, *, images: int) -> int:
        kept: dict[int, int] = {}  # by address, because a storage may be kept as several tensors

        def count(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        shape = (images, 3, self.recognizer.input_size, self.recognizer.input_size)
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            input_gradient(
                self.recognizer,
                torch.full(shape, 127.5, device=self.device, dtype=self.dtype),
                torch.zeros(images, dtype=torch.int64, device=self.device),
            )
        return sum(kept.values())


def _answers(
    logits: Sequence[Tensor],
    features: Tensor,
    losses: Mapping[int, Tensor],
    failures: Mapping[int, Exception],
    gradients: Tensor | None = None,
) -> list[Answer | Exception]:
    """The answers by place. Each has memory of its own: a view would keep the whole batch for as long as it is kept."""
    asked = len(logits)
    sums = torch.stack([row.sum() for row in logits]) + features[:asked].sum(dim=1)
    if gradients is not None:
        sums = sums + gradients[:asked].sum(dim=(1, 2, 3))
    known = {place: loss.detach() for place, loss in losses.items()}
    if known:
        places = torch.tensor(list(known), device=sums.device)
        sums = sums.index_add(0, places, torch.stack(list(known.values())).to(sums))
    finite = sums.isfinite().tolist()
    return [
        failures[place]
        if place in failures
        else Answer(
            logits[place].clone(),
            features[place].clone(),
            known[place].clone() if place in known else NOTHING,
            NOTHING if gradients is None else gradients[place].clone(),  # in its layout: what methods sum rounds by it
        )
        if finite[place]
        else NonFiniteAnswerError("expected numbers, got a logit, feature, loss or gradient that is none")
        for place in range(asked)
    ]


def _value(ask: Ask, logits: Tensor, features: Tensor) -> Tensor:
    assert ask.objective is not None
    with usual_modes(logits.device):
        value = ask.objective(logits, features)
    if not isinstance(value, Tensor) or value.numel() != 1:
        came = f"a tensor {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise BrokenObjectiveError(f"expected an objective to give a scalar, got {came}")
    if ask.gradient and not value.requires_grad:
        raise BrokenObjectiveError("expected an objective to depend on the logits or the features, got a constant")
    return value.reshape(())


@contextmanager
def usual_modes(device: torch.device) -> Iterator[None]:
    """For code of a method's: torch's modes as a thread has them at first, and as they were before once it is left.

    They are a thread's: a generator that asks within `torch.no_grad()` would leave that to whatever its thread does next.
    """
    with torch.inference_mode(mode=False), torch.autocast(device.type, enabled=False):
        yield


def as_exception(error: BaseException) -> Exception:
    """What a sink can be told: others, such as SystemExit, would end whoever raises them again."""
    return error if isinstance(error, Exception) else RuntimeError(repr(error)).with_traceback(error.__traceback__)


def input_gradient(recognizer: Recognizer, images: Tensor, labels: Tensor) -> Tensor:
    """Gradient with respect to each image (N, 3, S, S) of its own cross-entropy J at its label (N,)."""
    images = images.detach().requires_grad_(True)
    loss = cross_entropy(recognizer.logits(images), labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, images)
    return gradient


def suitable_batch_rows(device: torch.device, precision: Precision) -> int:
    """Places in a batch that suit a device: few where small batches keep it busy, because cloaks wait for full ones."""
    if device.type == "cuda":
        return 32
    return 8 if precision is Precision.BFLOAT16 else 4
