"""What every cloak keeps, whatever the probe, the method and the budgets."""

from collections.abc import Sequence
from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from protector_service.batched_model import BatchedModel
from protector_service.job import FinishedCloak
from protector_service.methods.trajectory import clip, iterations
from recognizers.networks.recognizer import Recognizer
from tests.support.engines import METHODS, OWN_BUDGETS, QUICK, bound, engine_of, job_of
from tests.support.engines import craft as craft_with
from tests.support.networks import LinearRecognizer, SmallRecognizer, probe

PAPER = (4, 8, 16, 32, 64, 128)
RECOGNIZER = SmallRecognizer()

probes = arrays(np.uint8, (8, 8, 3), elements=st.integers(0, 255))
budgets = st.lists(st.integers(0, 20) | st.sampled_from([32, 64, 255]), min_size=1, max_size=4, unique=True)
WITH_EPSILON = sorted(METHODS.keys() - OWN_BUDGETS.keys())
CHEAP = [name for name in WITH_EPSILON if METHODS[name].cost(64).gradients <= 68]  # a gradient a step, or none


def craft(
    photo: NDArray[np.uint8], methods: Sequence[str], epsilons: Sequence[int], *, batch_rows: int = 2
) -> list[FinishedCloak]:
    job = replace(job_of(photo, methods, epsilons), methods=tuple(QUICK[name] for name in methods))
    with engine_of(model_of(batch_rows=batch_rows)) as engine:
        return list(engine.craft(job))


def model_of(recognizer: Recognizer = RECOGNIZER, *, batch_rows: int = 2) -> BatchedModel:
    return BatchedModel(recognizer, batch_rows=batch_rows, dtype=torch.float64)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_no_cloak_of_any_method_leaves_its_budget(method: str) -> None:
    assert_within_budgets(probe(side=8, seed=4), method, [0, 1, 6])


@settings(max_examples=30, deadline=None)
@given(probes, st.sampled_from(CHEAP), budgets)
def test_no_cloak_leaves_its_budget_or_the_pixel_range(photo: NDArray[np.uint8], method: str, epsilons: list[int]) -> None:
    assert_within_budgets(photo, method, epsilons)


def assert_within_budgets(photo: NDArray[np.uint8], method: str, epsilons: list[int]) -> None:
    cloaks = craft(photo, [method], epsilons)
    assert [cloak.epsilon for cloak in cloaks] == list(METHODS[method].budgets(epsilons))
    for cloak in cloaks:
        change = np.abs(cloak.pixels.astype(int) - photo.astype(int)).max()
        assert change == cloak.largest_change <= bound(METHODS[method], cloak.epsilon)
        assert cloak.pixels.dtype == np.uint8
        assert cloak.pixels.shape == photo.shape


@settings(max_examples=20, deadline=None)
@given(probes, st.sampled_from(WITH_EPSILON))
def test_epsilon_zero_is_identity(photo: NDArray[np.uint8], method: str) -> None:
    (cloak,) = craft(photo, [method], [0])
    assert np.array_equal(cloak.pixels, photo)
    assert cloak.effort.n_iter == 0 or method == "deepfool"  # whose one run is for all budgets


@settings(max_examples=12, deadline=None)
@given(probes, st.sampled_from(["bim", "illc"]), budgets)
def test_the_shared_trajectory_equals_separate_runs_bit_for_bit(
    photo: NDArray[np.uint8], method: str, epsilons: list[int]
) -> None:
    shared = {cloak.epsilon: cloak for cloak in craft(photo, [method], epsilons)}
    assert set(shared) == set(epsilons)
    for epsilon in epsilons:
        (separate,) = craft(photo, [method], [epsilon])
        assert np.array_equal(shared[epsilon].pixels, separate.pixels)
        assert shared[epsilon].effort.n_iter == separate.effort.n_iter == iterations(epsilon)
        assert shared[epsilon].effort.gradients == separate.effort.gradients == iterations(epsilon)
        assert shared[epsilon].effort.zero_gradient_share == pytest.approx(separate.effort.zero_gradient_share)


@settings(max_examples=10, deadline=None)
@given(probes, st.sampled_from(["bim", "illc"]), st.integers(1, 20))
def test_a_cloak_is_what_the_equation_says_iterated(photo: NDArray[np.uint8], method: str, epsilon: int) -> None:
    """Eqs. 4 and 5 as a plain loop."""
    x_0 = torch.from_numpy(photo).permute(2, 0, 1).double()[None]
    y_llc = int(RECOGNIZER.logits(x_0)[0].argmin())
    label, sign = (1, +1) if method == "bim" else (y_llc, -1)
    x = x_0.clone()
    for _ in range(iterations(epsilon)):
        x.requires_grad_(True)
        (gradient,) = torch.autograd.grad(cross_entropy(RECOGNIZER.logits(x), torch.tensor([label])), x)
        x = clip(x.detach() + sign * gradient.sign(), x_0, epsilon)
    (cloak,) = craft(photo, [method], [epsilon], batch_rows=1)
    assert np.array_equal(cloak.pixels, x[0].permute(1, 2, 0).numpy())


@pytest.mark.parametrize(("epsilons", "expected"), [(PAPER, 142), ((128,), 132), ((4,), 5), ((0,), 0), ((1, 2, 3), 3)])
def test_one_trajectory_serves_every_budget(epsilons: tuple[int, ...], expected: int) -> None:
    for method in ("bim", "illc"):
        model = model_of()
        with engine_of(model) as engine:
            assert len(list(engine.craft(job_of(probe(side=8), [method], epsilons)))) == len(epsilons)
        assert model.gradients == expected
        assert model.forward_passes == (method == "illc")


def test_separate_runs_would_take_271_gradients() -> None:
    model = model_of()
    with engine_of(model) as engine:
        for epsilon in PAPER:
            list(engine.craft(job_of(probe(side=8), ["bim"], [epsilon])))
    assert model.gradients == 271


def test_small_budgets_are_finished_first() -> None:
    order = [cloak.epsilon for cloak in craft(probe(side=8), ["bim", "illc"], PAPER)]
    assert order == sorted(order)


def test_on_a_linear_model_bim_raises_and_illc_lowers_the_loss_by_the_hand_computed_amount() -> None:
    """Two classes: the gradient's sign is that of +-(w_1 - w_0), whatever x; after n steps every pixel moved min(n, eps)."""
    difference = torch.tensor([[[0.01, -0.02], [0.03, 0.04]]] * 3, dtype=torch.float64)
    weights = torch.stack([torch.zeros_like(difference), difference])
    recognizer = LinearRecognizer(weights)
    photo = np.full((2, 2, 3), 100, dtype=np.uint8)
    margin = 100 * float(difference.sum())  # logit 1 minus logit 0 of the probe: class 0 is the least likely
    epsilon = 8
    shift = epsilon * float(difference.abs().sum())

    def loss(pixels: NDArray[np.uint8], label: int) -> float:
        logits = recognizer.logits(torch.from_numpy(pixels).permute(2, 0, 1).double()[None])
        return float(cross_entropy(logits, torch.tensor([label])))

    crafted = craft_with(recognizer, photo, ["bim", "illc"], [epsilon])
    cloaks = {cloak.method: cloak for cloak in crafted}
    assert loss(photo, 1) == pytest.approx(np.log1p(np.exp(-margin)))
    assert loss(cloaks["bim"].pixels, 1) == pytest.approx(np.log1p(np.exp(-margin + shift)))
    assert loss(photo, 0) == pytest.approx(np.log1p(np.exp(margin)))
    assert loss(cloaks["illc"].pixels, 0) == pytest.approx(np.log1p(np.exp(margin - shift)))


def test_a_saturated_model_stalls_and_says_so() -> None:
    weights = torch.zeros(2, 3, 2, 2, dtype=torch.float64)
    weights[0] = 1.0
    photo = np.full((2, 2, 3), 200, dtype=np.uint8)
    (cloak,) = craft_with(LinearRecognizer(weights), photo, ["bim"], [4], y_true=0, batch_rows=1)
    assert cloak.effort.zero_gradient_share == 1.0
    assert cloak.largest_change == 0
