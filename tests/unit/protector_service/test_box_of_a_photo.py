"""Cloaks of a box at its own size, which source models see resampled to their input size."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from numpy.typing import NDArray

from protector_service.batched_model import BatchedModel
from protector_service.job import CraftJob, FinishedCloak
from protector_service.methods.trajectory import iterations
from protector_service.resampling import resampling_matrix
from tests.support.engines import METHODS, MODEL, QUICK, RecordingSink, craft, engine_of, held
from tests.support.networks import SmallRecognizer, probe

DOUBLE = torch.float64
RECOGNIZER = SmallRecognizer()
Pixels = NDArray[np.uint8]


def box(height: int, width: int, *, seed: int = 0) -> Pixels:
    """What is no square, as the corners of a box are rounded each on its own."""
    return probe(side=max(height, width), seed=seed)[:height, :width].copy()


def crafted(pixels: Pixels, method: str, *epsilons: int, beside: Pixels | None = None) -> list[FinishedCloak]:
    """The cloaks of a box, crafted alone or in the same batches as another's."""
    boxes = [pixels] if beside is None else [beside, pixels]
    sinks = [RecordingSink() for _ in boxes]
    with engine_of(BatchedModel(RECOGNIZER, batch_rows=2, dtype=DOUBLE)) as engine:
        with held(engine):
            for each, sink in zip(boxes, sinks, strict=True):
                engine.submit(CraftJob((MODEL,), each, 1, (QUICK[method],), epsilons), sink)
        for sink in sinks:
            assert sink.ended.wait(60)
            assert sink.ends == [None]
    return sinks[-1].cloaks


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_crafts_in_a_box_that_is_no_square_and_of_another_size_than_the_input(method: str) -> None:
    pixels = box(25, 24)
    own_budget = METHODS[method].own_budget
    cloaks = crafted(pixels, method, 0 if method == "none" or own_budget else 6)
    assert [cloak.pixels.shape for cloak in cloaks] == [pixels.shape]
    change = int(np.abs(cloaks[0].pixels.astype(int) - pixels).max())
    assert change == cloaks[0].largest_change <= (own_budget.largest_change if own_budget else 6)
    assert cloaks[0].largest_change > 0 or method in ("none", "deepfool", "jsma")


@given(
    method=st.sampled_from(["bim", "illc", "fgsm", "pgd", "noise", "mi"]),
    height=st.integers(4, 40),
    width=st.integers(4, 40),
    epsilon=st.integers(0, 9),
)
@settings(max_examples=25, deadline=None)
def test_a_cloak_keeps_its_budget_in_the_pixels_of_the_box(method: str, height: int, width: int, epsilon: int) -> None:
    pixels = box(height, width)
    (cloak,) = crafted(pixels, method, epsilon)
    assert cloak.pixels.dtype == np.uint8, "whole levels"
    assert np.abs(cloak.pixels.astype(int) - pixels).max() <= epsilon


def test_a_step_follows_the_gradient_of_what_the_model_sees_through_the_transpose() -> None:
    """BIM by hand, with the matrices and autograd."""
    pixels, epsilon = box(21, 20), 3
    rows, columns = (
        resampling_matrix(side, to=RECOGNIZER.input_size, device=torch.device("cpu"), dtype=DOUBLE) for side in (21, 20)
    )
    clean = torch.from_numpy(pixels).permute(2, 0, 1).to(DOUBLE)
    x = clean
    for _ in range(iterations(epsilon)):
        at = x.clone().requires_grad_(True)
        logits = RECOGNIZER.logits((rows @ at @ columns.T)[None])
        (gradient,) = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, torch.tensor([1])), at)
        x = (x + gradient.sign()).clamp(clean - epsilon, clean + epsilon).clamp(0, 255)
    (cloak,) = crafted(pixels, "bim", epsilon)
    np.testing.assert_array_equal(cloak.pixels, x.permute(1, 2, 0).numpy().astype(np.uint8))


def test_budgets_share_a_trajectory_bit_for_bit_as_for_crops() -> None:
    pixels = box(18, 19)
    together = crafted(pixels, "bim", 2, 5, 9)
    for cloak in together:
        (alone,) = crafted(pixels, "bim", cloak.epsilon)
        assert alone.pixels.tobytes() == cloak.pixels.tobytes()


@pytest.mark.parametrize("beside", [(30, 30), (9, 10)])
def test_a_cloak_does_not_depend_on_a_box_of_another_size_in_the_same_batch(beside: tuple[int, int]) -> None:
    pixels = box(18, 19)
    alone, accompanied = (crafted(pixels, "mi", 4, beside=each) for each in (None, box(*beside, seed=1)))
    assert [cloak.pixels.tobytes() for cloak in alone] == [cloak.pixels.tobytes() for cloak in accompanied]


def test_a_box_of_the_input_size_is_crafted_as_a_crop() -> None:
    pixels = probe(side=RECOGNIZER.input_size)
    (by_crop,) = craft(RECOGNIZER, pixels, ["bim"], [4])
    (in_photo,) = crafted(pixels, "bim", 4)
    assert by_crop.pixels.tobytes() == in_photo.pixels.tobytes()
