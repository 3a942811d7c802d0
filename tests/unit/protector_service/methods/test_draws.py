"""Random numbers that depend on nothing but what they are for."""

from collections import Counter
from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given

from protector_service.methods.draws import Draws
from protector_service.methods.method import MethodJob

PROBE = torch.arange(12.0).view(3, 2, 2)
JOB = MethodJob("di", PROBE, (4, 8), y_true=1, seed=3)


def of_digest(digest: str) -> list[float]:
    """The upper 53 of each 64 bits, the lowest byte first."""
    words = [int.from_bytes(bytes.fromhex(digest[place : place + 16]), "little") for place in range(0, len(digest), 16)]
    return [(word >> 11) / 2**53 for word in words]


def test_numbers_are_the_same_on_every_machine() -> None:
    """The digests are `openssl dgst -shake256` of "golden" and the number of calls before, in four bytes."""
    draws = Draws(b"golden")
    assert draws.uniform(3).tolist() == of_digest("b5a8ab6ae26ab187a69423631f97801ca6d55b4653aa455c")
    assert draws.uniform(2).tolist() == of_digest("59dd13092dba018549d946cc713329b6")
    assert Draws(b"golden").integers(-3, 12, 8) == [5, -2, 2, 8, -2, 0, -2, 7]
    assert Draws(b"golden").permutation(9) == [4, 6, 1, 5, 2, 0, 8, 7, 3]


def test_a_job_s_numbers_are_the_same_on_every_machine() -> None:
    """The digest is of "di 3 2 1 ", the SHA-256 of the bytes 0..11, and four bytes of 0."""
    assert JOB.draws(step=2, copy=1).uniform(2).tolist() == of_digest("c7fe7897cd630652773f62386170e533")


@pytest.mark.parametrize(
    "other",
    [
        replace(JOB, method="ti-di-mi").draws(step=1, copy=1),
        replace(JOB, seed=4).draws(step=1, copy=1),
        replace(JOB, probe=PROBE + 1).draws(step=1, copy=1),
        JOB.draws(step=2, copy=1),
        JOB.draws(step=1, copy=2),
        JOB.draws(step=1, copy=11),
        JOB.draws(step=11, copy=1),
        JOB.draws(step=0, copy=1),
        JOB.draws(),
    ],
)
def test_a_job_s_numbers_depend_on_method_seed_probe_step_and_copy(other: Draws) -> None:
    assert not np.isin(other.uniform(50), JOB.draws(step=1, copy=1).uniform(50)).any()


def test_step_and_copy_are_not_confused() -> None:
    drawn = {tuple(JOB.draws(step=step, copy=copy).uniform(1)) for step in range(13) for copy in range(13)}
    assert len(drawn) == 13 * 13


@pytest.mark.parametrize(
    "same",
    [
        replace(JOB, epsilons=(4,)),
        replace(JOB, epsilons=()),
        replace(JOB, y_true=2),
        replace(JOB, models=("a", "b")),
        *(replace(JOB, probe=PROBE.to(dtype)) for dtype in (torch.float64, torch.bfloat16, torch.uint8)),
        replace(JOB, probe=PROBE.permute(2, 1, 0).contiguous().permute(2, 1, 0)),
    ],
)
def test_a_job_s_numbers_do_not_depend_on_budgets_nor_on_how_the_probe_is_stored(same: MethodJob) -> None:
    assert np.array_equal(same.draws(step=1, copy=2).uniform(5), JOB.draws(step=1, copy=2).uniform(5))


def test_numbers_are_uniform_and_never_1() -> None:
    numbers = Draws(b"uniform").uniform(16_000)
    assert 0 <= numbers.min() < numbers.max() < 1
    counts, _ = np.histogram(numbers, bins=16, range=(0, 1))
    assert ((counts - 1000) ** 2 / 1000).sum() < 37.7, "15 degrees of freedom: the 0.999 quantile"
    assert abs(np.corrcoef(numbers[:-1], numbers[1:])[0, 1]) < 0.03


@given(st.binary(max_size=8), st.integers(0, 20), st.integers(0, 20))
def test_how_many_are_drawn_does_not_change_the_others(key: bytes, few: int, many: int) -> None:
    one, other = Draws(key), Draws(key)
    first, second = one.uniform(few), other.uniform(few + many)
    assert np.array_equal(first, second[:few])
    assert np.array_equal(one.uniform(3), other.uniform(3))


@given(st.binary(max_size=8), st.integers(-300, 300), st.integers(0, 600))
def test_whole_numbers_lie_between_their_ends(key: bytes, low: int, more: int) -> None:
    numbers = Draws(key).integers(low, low + more, 20)
    assert len(numbers) == 20
    assert all(isinstance(number, int) and low <= number <= low + more for number in numbers)


def test_whole_numbers_include_both_ends_and_are_equally_likely() -> None:
    counts = Counter(Draws(b"whole").integers(-2, 3, 6000))
    assert set(counts) == {-2, -1, 0, 1, 2, 3}
    assert sum((count - 1000) ** 2 / 1000 for count in counts.values()) < 20.5, "5 degrees of freedom: the 0.999 quantile"


@given(st.binary(max_size=8), st.integers(0, 40))
def test_a_permutation_has_every_number_once(key: bytes, count: int) -> None:
    assert sorted(Draws(key).permutation(count)) == list(range(count))


def test_permutations_are_equally_likely() -> None:
    draws = Draws(b"orders")
    counts = Counter(tuple(draws.permutation(3)) for _ in range(1200))
    assert len(counts) == 6
    assert sum((count - 200) ** 2 / 200 for count in counts.values()) < 20.5, "5 degrees of freedom: the 0.999 quantile"
