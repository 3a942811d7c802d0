"""Batches of faces, across requests."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import torch
from torch import Tensor

from recognizers.networks.head import Head
from recognizers.networks.recognizer import Recognizer


class ClosedError(Exception):
    """Batches are no longer made."""


@dataclass(frozen=True, eq=False)
class _Waiting:
    model: str
    face: Tensor  # (3, S, S), levels
    head: Head | None  # in place of the model's own
    logits: Future[Tensor]


class BatchedLogits:
    """Computes logits in threads of its own, always `batch_rows` faces of one model at a time.

    Whoever asks shares a batch with whoever else is waiting; unused places are padded, because networks round differently
    at another batch size, and an answer must not depend on what was asked beside it.
    """

    def __init__(
        self,
        recognizers: Mapping[str, Recognizer],
        *,
        batch_rows: int,
        workers: int = 1,
        device: torch.device | None = None,
        on_batch: Callable[[str, int], None] = lambda *_: None,
    ) -> None:
        """`on_batch` is told of every batch: the model, and how many faces it held."""
        self.recognizers = recognizers
        self._on_batch = on_batch
        self._batch_rows = batch_rows
        self._device = device or torch.device("cpu")
        self._waiting: list[_Waiting] = []  # longest first
        self._changed = threading.Condition()
        self._closed = False
        self._workers = [
            threading.Thread(target=self._work, name=f"batch-{worker}", daemon=True) for worker in range(workers)
        ]
        for worker in self._workers:
            worker.start()

    def ask(self, model: str, face: Tensor, *, head: Head | None = None) -> Future[Tensor]:
        """The logits (C,) of a face (3, S, S) by a model, to come; with `head`, by that in place of the model's own.

        Raises:
            ClosedError: it was closed.
        """
        asked = _Waiting(model, face, head, Future())
        with self._changed:
            if self._closed:
                raise ClosedError
            self._waiting.append(asked)
            self._changed.notify()
        return asked.logits

    @property
    def waiting(self) -> int:
        """Faces that wait for a batch."""
        return len(self._waiting)

    def close(self) -> None:
        """Waits for the batches under way; what still waits fails."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for worker in self._workers:
            worker.join()
        for asked in self._waiting:
            asked.logits.set_exception(ClosedError())

    def _work(self) -> None:
        while batch := self._next():
            try:
                logits = self._logits(batch)
            except Exception as error:  # noqa: BLE001 - whatever a network raises belongs to those who asked it
                for asked in batch:
                    asked.logits.set_exception(error)
            else:
                for asked, answer in zip(batch, logits, strict=False):  # padding is left over
                    asked.logits.set_result(answer)

    def _next(self) -> Sequence[_Waiting]:
        """The longest wait, and those for the same model with it; nothing once it is closed."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            if self._closed:
                return ()
            model = self._waiting[0].model
            batch = [asked for asked in self._waiting if asked.model == model][: self._batch_rows]
            for asked in batch:
                self._waiting.remove(asked)
        return batch

    def _logits(self, batch: Sequence[_Waiting]) -> Sequence[Tensor]:
        self._on_batch(batch[0].model, len(batch))
        padding = self._batch_rows - len(batch)
        faces = torch.stack([asked.face for asked in batch] + [batch[-1].face] * padding).to(self._device)
        recognizer = self.recognizers[batch[0].model]
        with torch.inference_mode():
            if all(asked.head is None for asked in batch):
                return list(recognizer.logits(faces))
            # The features of all at once, in the same shape as ever; a head that is one face's own, of that face alone.
            features = recognizer.features(faces)
            own = recognizer.head(features) if any(asked.head is None for asked in batch) else features
            return [
                own[place] if asked.head is None else asked.head(features[place : place + 1])[0]
                for place, asked in enumerate(batch)
            ]


def suitable_batch_rows(device: torch.device) -> int:
    """Places in a batch that suit a device: one on a CPU, which finds faces too slowly for several to be waiting."""
    return 32 if device.type == "cuda" else 1
