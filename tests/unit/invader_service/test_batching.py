"""Faces that share a batch, each with the head that it is compared with."""

import threading
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from invader_service.batching import BatchedLogits
from recognizers.networks.head import Head
from tests.support.networks import SmallRecognizer
from tests.support.services import small_recognizer

ROWS = 4


class HeldRecognizer(SmallRecognizer):
    """Begins no batch until it is let go, so that faces wait together."""

    def __init__(self) -> None:
        super().__init__(dtype=torch.float32)
        self.let_go = threading.Event()

    def features(self, images: Tensor) -> Tensor:
        assert self.let_go.wait(60)
        return super().features(images)


def answers(heads: Sequence[Head | None]) -> tuple[list[Tensor], list[int]]:
    """The logits of face i with head i, asked all at once, and how many faces each batch held."""
    recognizer, rows, begun = HeldRecognizer(), list[int](), threading.Event()

    def on_batch(model: str, held: int) -> None:
        rows.append(held)
        begun.set()

    logits = BatchedLogits({"small": recognizer}, batch_rows=ROWS, on_batch=on_batch)
    first = logits.ask("small", face(99))  # a batch of its own, which the others wait for
    assert begun.wait(60)
    asked = [logits.ask("small", face(place), head=head) for place, head in enumerate(heads)]
    recognizer.let_go.set()
    found = [each.result() for each in (first, *asked)][1:]
    logits.close()
    return found, rows


def face(seed: int) -> Tensor:
    return torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(seed)) * 255


OTHERS: list[Head | None] = [small_recognizer(seed=5, classes=3).head, small_recognizer(seed=6, classes=11).head]


@pytest.mark.parametrize("heads", [[None, *OTHERS, None], [*OTHERS, *OTHERS], [None] * 4])
def test_a_face_is_answered_as_alone_whatever_the_heads_of_its_neighbours(heads: list[Head | None]) -> None:
    together, rows = answers(heads)
    assert rows == [1, ROWS]
    for place, head in enumerate(heads):
        expected, _ = answers([None] * place + [head])
        assert torch.equal(together[place], expected[place])
        assert len(together[place]) == (7 if head is None else len(head.label_set))


def test_the_own_head_s_answers_are_the_recognizer_s_own_logits() -> None:
    together, _ = answers([None, *OTHERS, None])
    faces = torch.stack([face(place) for place in range(ROWS)])
    logits = small_recognizer().logits(faces)
    assert torch.equal(together[0], logits[0])
    assert torch.equal(together[3], logits[3])
