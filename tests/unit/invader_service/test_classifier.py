"""What leaves the invader: order before rounding, ties by class index."""

import hypothesis.strategies as st
import numpy as np
import torch
from hypothesis import given

from invader_service.classifier import ranked
from invader_service.disclosure import Candidate
from recognizers.networks.label_set import LabelSet

LABELS = LabelSet(("ada", "bob", "cyd", "dee"))


def test_candidates_are_ordered_by_probability_and_rounded_to_four_places() -> None:
    assert ranked(torch.tensor([0.0, 3.0, 1.0, -9.0]), LABELS, k=3) == [
        Candidate("bob", 0.8438),
        Candidate("cyd", 0.1142),
        Candidate("ada", 0.042),
    ]


def test_ties_are_broken_by_class_index() -> None:
    names = [candidate.identity for candidate in ranked(torch.tensor([1.0, 2.0, 1.0, 2.0]), LABELS, k=4)]
    assert names == ["bob", "dee", "ada", "cyd"]


def test_order_is_settled_before_rounding() -> None:
    first, second = ranked(torch.tensor([0.0, 1e-6, -50.0, -50.0]), LABELS, k=2)
    assert first.probability == second.probability == 0.5
    assert (first.identity, second.identity) == ("bob", "ada")


@given(st.lists(st.floats(-30, 30, width=32), min_size=4, max_size=4), st.integers(1, 4))
def test_candidates_are_the_first_k_of_the_whole_ranking(logits: list[float], k: int) -> None:
    whole = ranked(torch.tensor(logits), LABELS, k=4)
    assert ranked(torch.tensor(logits), LABELS, k=k) == whole[:k]
    places = [LABELS.index(candidate.identity) for candidate in whole]
    exact = np.exp(np.array(logits, dtype=np.float64) - max(logits))
    expected = sorted(range(4), key=lambda place: (-exact[place], place))
    assert [exact[place] for place in places] == [exact[place] for place in expected]
