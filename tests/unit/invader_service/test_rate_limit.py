"""The rate limit: never faster than it says, and exact about when to come back."""

from dataclasses import dataclass
from fractions import Fraction

import grpc
import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from invader_service.rate_limit import RateLimit
from rpc.errors import RATE_LIMITED, ServiceError

SECOND, MILLISECOND = 10**9, 10**6  # nanoseconds
RATES = (0.125, 0.5, 1.0, 1.6, 2.0, 2.5, 5.0, 10.0, 64.0)  # a whole number of nanoseconds apart


@dataclass
class Clock:
    """A clock that a test winds on."""

    now: int = 123_456_789_012_345

    def __call__(self) -> int:
        return self.now


async def is_admitted(limit: RateLimit, client: str = "ada") -> bool:
    try:
        await limit.admit(client)
    except ServiceError:
        return False
    return True


async def told_to_wait(limit: RateLimit, client: str = "ada") -> int:
    """Milliseconds."""
    with pytest.raises(ServiceError) as refusal:
        await limit.admit(client)
    assert refusal.value.retry_after_ms is not None
    return refusal.value.retry_after_ms


@pytest.mark.parametrize(("rate", "at_once"), [(0.5, 1), (1, 1), (2.5, 2), (3, 3), (5, 5), (7, 7), (1000, 1000)])
@pytest.mark.parametrize("now", [0, 1, 86_399_999_999_999, 7 * 10**17 + 13])
async def test_a_second_s_worth_may_come_at_once_whatever_the_clock_shows(rate: float, at_once: int, now: int) -> None:
    limit = RateLimit(rate, clock=Clock(now))
    assert [await is_admitted(limit) for _ in range(at_once + 2)] == [True] * at_once + [False, False]


async def test_a_refusal_says_the_rate_and_when_to_come_back() -> None:
    limit = RateLimit(2, clock=Clock())
    assert await is_admitted(limit)
    assert await is_admitted(limit)
    with pytest.raises(ServiceError, match=r"^at most 2 queries a second$") as refusal:
        await limit.admit("ada")
    told = refusal.value
    assert (told.code, told.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, RATE_LIMITED)
    assert told.retry_after_ms == 500


gaps = st.one_of(st.just(0), st.integers(0, 3 * SECOND), st.integers(0, 100).map(lambda tick: tick * 25 * MILLISECOND))


@given(st.sampled_from(RATES), st.lists(gaps, max_size=60))
async def test_a_query_is_admitted_just_where_no_window_before_it_is_full(rate: float, gaps: list[int]) -> None:
    """The oracle looks back over every window that ends now; in T seconds fit rate * T queries and a second's worth."""
    clock = Clock()
    limit = RateLimit(rate, clock=clock)
    admitted: list[int] = []
    for gap in gaps:
        clock.now += gap
        windows = [(len(admitted) - first + 1, Fraction(clock.now - start, SECOND)) for first, start in enumerate(admitted)]
        has_room = all(queries <= Fraction(rate) * seconds + Fraction(max(rate, 1)) for queries, seconds in windows)
        assert await is_admitted(limit) == has_room
        if has_room:
            admitted.append(clock.now)


@settings(deadline=None)  # thousands of queries at the higher rates
@given(st.floats(0.05, 5000), st.lists(gaps, min_size=1, max_size=30), st.integers(0, 2**60))
async def test_who_comes_back_when_told_to_is_admitted_and_a_millisecond_earlier_is_not(
    rate: float, gaps: list[int], start: int
) -> None:
    clock = Clock(start)
    limit = RateLimit(rate, clock=clock)
    for gap in gaps:
        clock.now += gap
        while await is_admitted(limit):
            pass
        wait = await told_to_wait(limit)
        clock.now += (wait - 1) * MILLISECOND
        assert not await is_admitted(limit)
        clock.now += MILLISECOND
        assert await is_admitted(limit)


async def test_a_refused_query_does_not_count() -> None:
    clock = Clock()
    limit = RateLimit(1, clock=clock)
    assert await is_admitted(limit)
    assert [await told_to_wait(limit) for _ in range(100)] == [1000] * 100
    clock.now += SECOND
    assert await is_admitted(limit)


async def test_clients_do_not_share_a_rate() -> None:
    limit = RateLimit(1, clock=Clock())
    assert await is_admitted(limit, "ada")
    assert not await is_admitted(limit, "ada")
    assert await is_admitted(limit, "bob")


async def test_who_has_been_silent_is_forgotten() -> None:
    clock = Clock()
    limit = RateLimit(1, clock=clock)
    for number in range(3000):
        await limit.admit(f"client {number}")
        clock.now += 100 * MILLISECOND
    kept = sum(len(value) for value in vars(limit).values() if isinstance(value, dict))
    assert 1 <= kept <= 10, "a second's worth of clients"
