"""The methods' rules, worked by hand."""

import math
from collections.abc import Callable

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given

from protector_service.methods.bim import BasicIterativeMethod
from protector_service.methods.illc import IterativeLeastLikelyClass
from protector_service.methods.method import GradientMethod, clip, iterations, stated, statement
from protector_service.methods.noise import RandomNoise, random_signs
from protector_service.methods.none import NoCloak
from tests.support.engines import METHODS


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


def test_what_is_stated_of_a_function_is_not_said_of_one_that_overrides_it() -> None:
    class Silent(BasicIterativeMethod):
        def alpha(self, epsilon: int) -> int:
            return 2 * super().alpha(epsilon)

    class Talking(Silent):
        @stated("3 levels")
        def alpha(self, epsilon: int) -> int:
            return 3

    assert statement(BasicIterativeMethod().alpha) == "1 level"
    assert statement(Silent().alpha) == ""
    assert statement(Silent().n_iter) == "floor(min(epsilon + 4, 1.25 epsilon))"
    assert statement(Talking().alpha) == "3 levels"


@pytest.mark.parametrize("name", ["bim", "illc", "fgsm", "pgd"])
def test_what_a_method_of_this_project_states_is_what_it_does(name: str) -> None:
    method = METHODS[name]
    assert isinstance(method, GradientMethod)
    rules: dict[str, Callable[[int], int]] = {
        "1 level": lambda epsilon: 1,
        "epsilon": lambda epsilon: epsilon,
        "floor(min(epsilon + 4, 1.25 epsilon))": lambda epsilon: math.floor(min(epsilon + 4, 1.25 * epsilon)),
        "min(1, epsilon)": lambda epsilon: min(1, epsilon),
    }
    for function in (method.alpha, method.n_iter):
        rule = rules[statement(function)]
        assert [function(epsilon) for epsilon in range(256)] == [rule(epsilon) for epsilon in range(256)]
    flat = torch.full((3, 8, 8), 128.0)
    moved = bool((method.start(flat, epsilon=8, seed=0) != flat).any())
    assert moved == (statement(method.start) != "the probe")
