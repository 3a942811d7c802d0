"""Trajectories along signs, and how one serves every budget."""

import math
from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from protector_service.batched_model import BatchedModel
from protector_service.methods.asks import Answer, Ask, Asking, Cloak, CrossEntropy
from protector_service.methods.method import MethodJob
from protector_service.methods.trajectory import (
    Point,
    clip,
    iterations,
    loss_gradient,
    separate_trajectories,
    shared_trajectory,
)
from tests.support.crafting import crafted, method_job
from tests.support.engines import METHODS, engine_of, job_of
from tests.support.networks import SmallRecognizer, probe

PAPER = (4, 8, 16, 32, 64, 128)
SIDE = 10  # the smallest that the diverse input changes
RECOGNIZER = SmallRecognizer(input_size=SIDE)
SHARING = ("bim", "illc", "mi", "ni", "di", "ti", "ti-di-mi", "si", "bsr")


@pytest.mark.parametrize(("epsilon", "n_iter"), [(4, 5), (8, 10), (16, 20), (32, 36), (64, 68), (128, 132)])
def test_the_paper_s_budgets_take_the_protocol_s_numbers_of_steps(epsilon: int, n_iter: int) -> None:
    assert iterations(epsilon) == n_iter


@given(st.integers(0, 255))
def test_n_iter_is_the_floor_of_the_formula_and_never_below_epsilon(epsilon: int) -> None:
    assert iterations(epsilon) == math.floor(min(epsilon + 4, 1.25 * epsilon))
    assert iterations(epsilon) >= epsilon


def test_clip_keeps_the_budget_around_the_probe_and_the_pixel_range() -> None:
    x_0 = torch.tensor([0.0, 3.0, 100.0, 250.0, 255.0])
    far_up, far_down = torch.full_like(x_0, 999.0), torch.full_like(x_0, -999.0)
    assert clip(far_up, x_0, 8).tolist() == [8, 11, 108, 255, 255]
    assert clip(far_down, x_0, 8).tolist() == [0, 0, 92, 242, 247]
    assert clip(x_0 + 1, x_0, 8).tolist() == [1, 4, 101, 251, 255]


@pytest.mark.parametrize(
    ("method", "epsilons", "gradients"),
    [
        *((method, PAPER, 142) for method in SHARING[:7]),
        ("si", PAPER, 5 * 142),
        ("bsr", (4, 6), 20 * 7),  # the fifth step of both uses one direction
        ("mi", (0,), 0),
        ("mi", (1, 2, 3), 3),
        ("mi", (128,), 132),
    ],
)
def test_one_trajectory_serves_every_budget(method: str, epsilons: tuple[int, ...], gradients: int) -> None:
    model = BatchedModel(RECOGNIZER, batch_rows=2, dtype=torch.float64)
    with engine_of(model) as engine:
        cloaks = list(engine.craft(job_of(probe(side=SIDE), [method], epsilons)))
    assert [cloak.epsilon for cloak in cloaks] == list(epsilons)
    assert model.gradients == gradients


def check_shared_equals_separate(method: str, epsilons: list[int], seed: int) -> None:
    photo = probe(side=SIDE, seed=1)
    photo[:2], photo[-2:] = 3, 252
    chosen = METHODS[method]
    together = crafted(chosen, method_job(chosen, photo, epsilons, seed=seed), RECOGNIZER)
    assert [cloak.epsilon for cloak in together] == sorted(epsilons)
    for shared in together:
        (separate,) = crafted(chosen, method_job(chosen, photo, [shared.epsilon], seed=seed), RECOGNIZER)
        assert np.array_equal(shared.pixels, separate.pixels)
        spent, alone = shared.effort, separate.effort
        assert (spent.n_iter, spent.gradients, spent.forward_passes) == (alone.n_iter, alone.gradients, alone.forward_passes)
        assert spent.n_iter == iterations(shared.epsilon)
        assert spent.zero_gradient_share == alone.zero_gradient_share


@pytest.mark.parametrize("method", SHARING[:-1])
@settings(max_examples=5, deadline=None)
@given(epsilons=st.lists(st.integers(0, 14), min_size=2, max_size=3, unique=True), seed=st.integers(0, 2**64 - 1))
def test_budgets_together_equal_separate_runs_bit_for_bit(method: str, epsilons: list[int], seed: int) -> None:
    check_shared_equals_separate(method, epsilons, seed)


def test_budgets_together_equal_separate_runs_bit_for_bit_by_bsr() -> None:
    """Which takes twenty times as long."""
    check_shared_equals_separate("bsr", [4, 5], 2**63)


def steps_of(crafting_job: MethodJob) -> list[tuple[int, int, float]]:
    """Of a direction that remembers how often it was called: step, memory and x where it was asked, call by call."""
    seen = []

    def direction(at: Point) -> Asking[tuple[Tensor, int]]:
        seen.append((at.step, at.memory or 0, float(at.x[0, 0, 0])))
        answer: Answer = yield Ask(at.x, CrossEntropy(0))
        return answer.gradient, (at.memory or 0) + 1

    crafting = shared_trajectory(crafting_job, direction)
    came = next(crafting)
    try:
        while True:
            if isinstance(came, Cloak):
                came = next(crafting)
            else:
                assert not isinstance(came, Ask)
                came = crafting.send([Answer(gradient=torch.ones_like(ask.image)) for ask in came])
    except StopIteration:
        return seen


def test_a_budget_that_parts_takes_its_memory_with_it() -> None:
    """Budget 4 takes its fifth step from the common x; budget 5 has its sixth for itself."""
    job = MethodJob("mine", torch.full((3, 1, 1), 100.0), (4, 5), y_true=0)
    assert steps_of(job) == [*((step, step, 100.0 + step) for step in range(5)), (5, 5, 105.0)]
    job = replace(job, epsilons=(8, 9))  # ten steps, and eleven
    assert steps_of(job) == [
        *((step, step, 100.0 + step) for step in range(9)),
        (9, 9, 108.0),
        (9, 9, 109.0),
        (10, 10, 109.0),
    ]


def test_separate_trajectories_start_step_and_end_as_they_are_told() -> None:
    job = MethodJob("mine", torch.full((3, 1, 1), 100.0), (2, 6), y_true=0)
    crafting = separate_trajectories(
        job,
        loss_gradient(0),
        start=lambda epsilon: job.probe - epsilon,
        n_iter=lambda epsilon: epsilon // 2,
        alpha=lambda epsilon: epsilon - 1,
    )
    came, asked, cloaks = next(crafting), [], {}
    try:
        while True:
            if isinstance(came, Cloak):
                assert came.effort is not None
                cloaks[came.epsilon] = (float(came.image[0, 0, 0]), came.effort.n_iter, came.effort.gradients)
                came = next(crafting)
            else:
                assert not isinstance(came, Ask)
                asked.append([float(ask.image[0, 0, 0]) for ask in came])
                came = crafting.send([Answer(gradient=torch.ones_like(ask.image)) for ask in came])
    except StopIteration:
        pass
    assert asked == [[98, 94], [99], [104]]
    assert cloaks == {2: (99, 1, 1), 6: (106, 3, 3)}
