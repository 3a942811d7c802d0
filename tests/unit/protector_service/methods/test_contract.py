"""What every method keeps, whatever the probe, the budgets and the seed."""

from collections.abc import Sequence
from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

from protector_service.job import FinishedCloak
from protector_service.methods.method import Method, MethodJob
from protector_service.methods.one_pixel import OnePixelAttack
from tests.support.crafting import crafted, method_job, pixels_of
from tests.support.engines import METHODS, OWN_BUDGETS, bound
from tests.support.networks import SmallRecognizer, probe

SIDE = 10  # the smallest that the diverse input changes
RECOGNIZER = SmallRecognizer(input_size=SIDE)
DRAWING = {"noise", "pgd", "di", "ti-di-mi", "bsr", "one-pixel", "lowkey", "lowkey-dssim"}  # depend on the seed
OF_CHANCE = {"fawkes-low", "fawkes-mid", "fawkes-high", "fawkes-targeted"}  # which may come out the same, or not


class SmallPopulation(OnePixelAttack):
    """The one-pixel attack with few candidates."""

    pixels = 3
    population = 6
    generations = 2


METHOD: dict[str, Method] = dict(METHODS) | {
    "one-pixel": SmallPopulation(),
    **{name: method.having(n_iter=6) for name, method in OWN_BUDGETS.items()},
}

every_method = pytest.mark.parametrize("name", sorted(METHOD))
photos = st.builds(
    lambda levels, seed: np.random.default_rng(seed).choice(np.array(levels, dtype=np.uint8), (SIDE, SIDE, 3)),
    st.sampled_from([range(256), (0, 255), (0, 1, 127, 254, 255), (128,)]),
    st.integers(0, 2**32),
)
budgets = st.lists(st.integers(0, 8), min_size=1, max_size=3, unique=True)
seeds = st.integers(0, 2**64 - 1)


def job_of(name: str, photo: NDArray[np.uint8], epsilons: Sequence[int], *, seed: int) -> MethodJob:
    """Of a person whom the recognizer knows; bsr, whose steps take twenty gradients, has small budgets only."""
    few = sorted({epsilon % 3 for epsilon in epsilons}) if name == "bsr" else epsilons
    job = method_job(METHOD[name], photo, few, seed=seed)
    return replace(job, y_true=int(RECOGNIZER.logits(job.probe[None])[0].argmax()))


def cloaks_of(name: str, photo: NDArray[np.uint8], epsilons: Sequence[int], *, seed: int = 0) -> list[FinishedCloak]:
    return crafted(METHOD[name], job_of(name, photo, epsilons, seed=seed), RECOGNIZER)


@every_method
@settings(max_examples=4, deadline=None)
@given(photo=photos, epsilons=budgets, seed=seeds)
def test_no_cloak_leaves_its_budget_or_the_pixel_range_and_the_smallest_comes_first(
    name: str, photo: NDArray[np.uint8], epsilons: list[int], seed: int
) -> None:
    """One that leaves the pixel range raises before it is a picture."""
    cloaks = cloaks_of(name, photo, epsilons, seed=seed)
    for cloak in cloaks:
        change = np.abs(cloak.pixels.astype(int) - photo.astype(int)).max()
        assert change == cloak.largest_change <= bound(METHOD[name], cloak.epsilon)
        assert cloak.pixels.dtype == np.uint8
        assert cloak.pixels.shape == photo.shape
    order = [cloak.epsilon for cloak in cloaks]
    assert order == sorted(order)
    assert len(order) == 1 if name == "none" or name in OWN_BUDGETS else len(order) == len(set(order)) >= 1


@every_method
@settings(max_examples=4, deadline=None)
@given(photo=photos, epsilons=budgets, seed=seeds)
def test_a_cloak_takes_no_more_than_its_method_says(
    name: str, photo: NDArray[np.uint8], epsilons: list[int], seed: int
) -> None:
    for cloak in cloaks_of(name, photo, epsilons, seed=seed):
        cost = METHOD[name].cost(cloak.epsilon)
        assert cloak.effort.gradients <= cost.gradients
        assert cloak.effort.forward_passes <= cost.forward_passes
        assert 0 <= cloak.effort.zero_gradient_share <= 1


@pytest.mark.parametrize("name", sorted(METHOD.keys() - OWN_BUDGETS.keys()))
@settings(max_examples=3, deadline=None)
@given(photo=photos, seed=seeds)
def test_epsilon_zero_is_identity(name: str, photo: NDArray[np.uint8], seed: int) -> None:
    (cloak,) = cloaks_of(name, photo, [0], seed=seed)
    assert np.array_equal(cloak.pixels, photo)


@every_method
@settings(max_examples=2, deadline=None)
@given(photo=photos, epsilons=budgets, seed=seeds)
def test_the_same_seed_gives_the_same_cloaks_and_leaves_the_probe_as_it_is(
    name: str, photo: NDArray[np.uint8], epsilons: list[int], seed: int
) -> None:
    job = job_of(name, photo, epsilons, seed=seed)
    first, second = (crafted(METHOD[name], job, RECOGNIZER) for _ in range(2))
    assert [cloak.pixels.tobytes() for cloak in first] == [cloak.pixels.tobytes() for cloak in second]
    assert np.array_equal(pixels_of(job.probe), photo)


@pytest.mark.parametrize("name", sorted(METHOD.keys() - OF_CHANCE))
def test_another_seed_changes_what_draws_random_numbers_and_nothing_else(name: str) -> None:
    one, other = (cloaks_of(name, probe(side=SIDE), [8], seed=seed) for seed in (1, 2))
    assert (one[0].pixels.tobytes() != other[0].pixels.tobytes()) == (name in DRAWING)


@every_method
def test_a_method_changes_a_probe_within_a_budget(name: str) -> None:
    (cloak,) = cloaks_of(name, probe(side=SIDE), [8])
    assert (cloak.largest_change > 0) == (name != "none")
