"""The methods' rules, worked by hand."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given

from protector_service.methods.bim import BasicIterativeMethod
from protector_service.methods.illc import IterativeLeastLikelyClass
from protector_service.methods.method import clip, iterations
from protector_service.methods.noise import RandomNoise, random_signs
from protector_service.methods.none import NoCloak
from tests.engines import METHODS


@pytest.mark.parametrize(("epsilon", "n_iter"), [(4, 5), (8, 10), (16, 20), (32, 36), (64, 68), (128, 132)])
def test_the_paper_s_budgets_take_the_protocol_s_numbers_of_steps(epsilon: int, n_iter: int) -> None:
    assert iterations(epsilon) == n_iter


@given(st.integers(0, 255))
def test_n_iter_is_the_floor_of_the_formula_and_never_below_epsilon(epsilon: int) -> None:
    assert iterations(epsilon) == math.floor(min(epsilon + 4, 1.25 * epsilon))
    assert iterations(epsilon) >= epsilon


def test_clip_keeps_the_budget_around_the_probe_and_the_pixel_range() -> None:
    probe = torch.tensor([0.0, 3.0, 100.0, 250.0, 255.0])
    far_up, far_down = torch.full_like(probe, 999.0), torch.full_like(probe, -999.0)
    assert clip(far_up, probe, 8).tolist() == [8, 11, 108, 255, 255]
    assert clip(far_down, probe, 8).tolist() == [0, 0, 92, 242, 247]
    assert clip(probe + 1, probe, 8).tolist() == [1, 4, 101, 251, 255]


def test_bim_climbs_the_true_class_and_illc_descends_the_least_likely() -> None:
    logits = torch.tensor([2.0, -1.0, 0.5, -1.0])
    x, gradient = torch.tensor([5.0, 5.0, 5.0]), torch.tensor([-0.3, 0.0, 1e-30])
    bim, illc = BasicIterativeMethod(), IterativeLeastLikelyClass()
    assert bim.label(logits, 2) == 2
    assert illc.label(logits, 2) == 1, "the lowest index of the classes that tie"
    assert bim.step(x, gradient, alpha=1).tolist() == [4, 5, 6]
    assert illc.step(x, gradient, alpha=1).tolist() == [6, 5, 4]


def test_the_control_is_the_probe_at_budget_zero_whatever_is_asked() -> None:
    probe = torch.arange(12.0).view(3, 2, 2)
    assert NoCloak().budgets([4, 8]) == (0,)
    assert torch.equal(NoCloak().cloak(probe, epsilon=0, seed=1), probe)


def test_noise_moves_every_unclipped_pixel_by_epsilon_either_way_about_equally_often() -> None:
    probe = torch.full((3, 64, 64), 100.0)
    moved = RandomNoise().cloak(probe, epsilon=16, seed=7) - probe
    assert set(moved.flatten().tolist()) == {-16.0, 16.0}
    assert abs(float((moved > 0).double().mean()) - 0.5) < 0.02


def test_noise_depends_on_seed_budget_and_probe_and_on_nothing_else() -> None:
    probe, other = torch.full((3, 16, 16), 100.0), torch.full((3, 16, 16), 101.0)
    signs = random_signs(probe, epsilon=8, seed=1)
    assert torch.equal(signs, random_signs(probe.double(), epsilon=8, seed=1).float())
    for different in (
        random_signs(probe, epsilon=8, seed=2),
        random_signs(probe, epsilon=16, seed=1),
        random_signs(other, epsilon=8, seed=1),
    ):
        assert 0.3 < float((signs == different).double().mean()) < 0.7


def test_noise_is_the_same_on_every_machine() -> None:
    signs = random_signs(torch.zeros(3, 2, 2), epsilon=4, seed=0)
    assert np.array_equal(signs.flatten().numpy(), SIGNS_OF_ZEROS)


# SHAKE-256 of b"0 4 " and twelve zero bytes begins with these twelve bits.
SIGNS_OF_ZEROS = np.unpackbits(np.frombuffer(bytes.fromhex("7e21"), dtype=np.uint8))[:12].astype(np.float32) * 2 - 1


def test_every_method_says_what_it_does() -> None:
    assert set(METHODS) == {"bim", "fgsm", "illc", "noise", "none", "pgd"}
    assert all(method.description.endswith(".") for method in METHODS.values())
