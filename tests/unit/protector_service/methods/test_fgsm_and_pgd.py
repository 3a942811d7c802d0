"""The one-step method and the one with a random start, beside BIM and worked by hand."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from protector_service.batched_model import BatchedModel
from protector_service.job import FinishedCloak
from protector_service.methods.asks import Ask, Cloak
from protector_service.methods.method import MethodJob
from protector_service.methods.pgd import random_levels
from protector_service.methods.trajectory import clip, iterations
from tests.support.crafting import crafted, method_job, pixels_of
from tests.support.engines import METHODS, craft, engine_of, job_of
from tests.support.networks import LinearRecognizer, SmallRecognizer, probe

PAPER = (4, 8, 16, 32, 64, 128)
RECOGNIZER = SmallRecognizer()

probes = arrays(np.uint8, (8, 8, 3), elements=st.integers(0, 255))


def by_pgd(photo: NDArray[np.uint8], epsilon: int, *, seed: int = 0) -> FinishedCloak:
    (cloak,) = crafted(METHODS["pgd"], method_job(METHODS["pgd"], photo, [epsilon], seed=seed), RECOGNIZER)
    return cloak


def start_of_pgd(x_0: Tensor, *, epsilon: int, seed: int) -> Tensor:
    """The image (3, S, S) that it asks about first, or hands out where it takes no step."""
    came = next(METHODS["pgd"].craft(MethodJob("pgd", x_0, (epsilon,), 1, seed)))
    return came.image if isinstance(came, Ask | Cloak) else came[0].image


def gradient_of_loss(x: Tensor) -> Tensor:
    """Of the cross-entropy at class 1, of an image (1, 3, S, S)."""
    x = x.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(cross_entropy(RECOGNIZER.logits(x), torch.tensor([1])), x)
    return gradient


@settings(max_examples=20, deadline=None)
@given(probes, st.integers(1, 255))
def test_fgsm_is_one_step_of_epsilon_along_the_sign_of_the_gradient(photo: NDArray[np.uint8], epsilon: int) -> None:
    x_0 = torch.from_numpy(photo).permute(2, 0, 1).double()[None]
    expected = (x_0 + epsilon * gradient_of_loss(x_0).sign()).clamp(0, 255)
    (fgsm,) = crafted(METHODS["fgsm"], method_job(METHODS["fgsm"], photo, [epsilon]), RECOGNIZER)
    assert np.array_equal(fgsm.pixels, pixels_of(expected[0]))
    assert (fgsm.effort.n_iter, fgsm.effort.gradients) == (1, 1)


def test_fgsm_on_a_linear_model_moves_every_pixel_by_epsilon_against_the_true_class() -> None:
    """The gradient's sign is that of w_0 - w_1, whatever x."""
    difference = torch.tensor([[[0.01, -0.02], [0.03, 0.04]]] * 3, dtype=torch.float64)
    recognizer = LinearRecognizer(torch.stack([torch.zeros_like(difference), difference]))
    photo = np.full((2, 2, 3), 100, dtype=np.uint8)
    photo[0, 0] = 3  # less than epsilon from black
    for epsilon in PAPER:
        (cloak,) = craft(recognizer, photo, ["fgsm"], [epsilon])
        expected = [[max(0, 3 - epsilon), min(255, 100 + epsilon)], [max(0, 100 - epsilon)] * 2]
        assert cloak.pixels[:, :, 0].tolist() == expected


def test_budgets_of_fgsm_take_a_gradient_each_and_those_of_pgd_share_no_trajectory() -> None:
    for method, expected in (("fgsm", len(PAPER)), ("pgd", sum(map(iterations, PAPER)))):
        model = BatchedModel(RECOGNIZER, batch_rows=2, dtype=torch.float64)
        with engine_of(model) as engine:
            cloaks = list(engine.craft(job_of(probe(side=8), [method], PAPER)))
        assert [cloak.epsilon for cloak in cloaks] == list(PAPER)
        assert model.gradients == expected


@settings(max_examples=15, deadline=None)
@given(probes, st.integers(0, 20), st.integers(0, 2**64 - 1))
def test_pgd_is_bim_s_equation_iterated_from_its_start(photo: NDArray[np.uint8], epsilon: int, seed: int) -> None:
    x_0 = torch.from_numpy(photo).permute(2, 0, 1).double()[None]
    x = (x_0 + random_levels(x_0[0], epsilon=epsilon, seed=seed)).clamp(0, 255)
    for _ in range(iterations(epsilon)):
        x = clip(x + gradient_of_loss(x).sign(), x_0, epsilon)
    cloak = by_pgd(photo, epsilon, seed=seed)
    assert np.array_equal(cloak.pixels, pixels_of(x[0]))
    assert cloak.effort.n_iter == cloak.effort.gradients == iterations(epsilon)


@given(probes, st.integers(0, 255), st.integers(0, 2**64 - 1))
def test_pgd_starts_at_whole_levels_within_the_budget_and_the_pixel_range(
    photo: NDArray[np.uint8], epsilon: int, seed: int
) -> None:
    x_0 = torch.from_numpy(photo).permute(2, 0, 1).float()
    start = start_of_pgd(x_0, epsilon=epsilon, seed=seed)
    assert torch.equal(start, start.round())
    assert float((start - x_0).abs().max()) <= epsilon
    assert float(start.min()) >= 0
    assert float(start.max()) <= 255


def test_pgd_s_start_is_uniform_over_the_budget() -> None:
    levels = random_levels(torch.full((3, 128, 128), 100.0), epsilon=4, seed=0).long().flatten()
    counts = torch.bincount(levels + 4, minlength=9)
    expected = len(levels) / 9
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    assert chi_square < 26.1, "8 degrees of freedom: the 0.999 quantile"


def test_pgd_s_start_is_the_same_in_every_floating_point_type() -> None:
    """Of whole numbers bfloat16 has all up to 256, and a budget of 255 is drawn from 511 levels."""
    x_0 = torch.from_numpy(probe(side=32)).permute(2, 0, 1)
    expected = start_of_pgd(x_0.double(), epsilon=255, seed=0)
    for dtype in (torch.float32, torch.bfloat16):
        assert torch.equal(
            random_levels(x_0.to(dtype), epsilon=255, seed=0).double(), random_levels(x_0.double(), epsilon=255, seed=0)
        )
        assert torch.equal(start_of_pgd(x_0.to(dtype), epsilon=255, seed=0).double(), expected)


def test_pgd_s_start_depends_on_seed_budget_and_probe_and_on_nothing_else() -> None:
    flat, other = torch.full((3, 16, 16), 100.0), torch.full((3, 16, 16), 101.0)
    start = random_levels(flat, epsilon=100, seed=1)
    assert torch.equal(start, random_levels(flat.double(), epsilon=100, seed=1).float())
    for different in (
        random_levels(flat, epsilon=100, seed=2),
        random_levels(flat, epsilon=99, seed=1),
        random_levels(other, epsilon=100, seed=1),
    ):
        assert float((start == different).double().mean()) < 0.05


def test_pgd_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    photo = probe(side=8)
    assert np.array_equal(by_pgd(photo, 8, seed=5).pixels, by_pgd(photo, 8, seed=5).pixels)
    assert not np.array_equal(by_pgd(photo, 8, seed=5).pixels, by_pgd(photo, 8, seed=6).pixels)


@pytest.mark.parametrize("method", ["fgsm", "pgd"])
def test_a_cloak_does_not_depend_on_its_neighbours(method: str) -> None:
    """Of other methods, budgets and photos, in the same fixed batches of float32."""
    photo, recognizer = probe(side=8), SmallRecognizer(dtype=torch.float32)

    def crafted(*others: str, among: int) -> dict[int, NDArray[np.uint8]]:
        with engine_of(BatchedModel(recognizer, batch_rows=4), workers=2) as engine:
            beside = [engine.craft(job_of(probe(side=8, seed=1 + place), ["pgd", "bim"], PAPER)) for place in range(among)]
            started = [next(each) for each in beside]
            cloaks = list(engine.craft(job_of(photo, [method, *others], (4, 16))))
            assert len(started) == among
        return {cloak.epsilon: cloak.pixels for cloak in cloaks if cloak.method == method}

    alone, crowded = crafted(among=0), crafted("bim", "illc", among=3)
    assert alone.keys() == crowded.keys() == {4, 16}
    assert all(np.array_equal(alone[epsilon], crowded[epsilon]) for epsilon in alone)
