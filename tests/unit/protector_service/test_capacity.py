"""How much the protector takes on at a time."""

from contextlib import AbstractContextManager, suppress

import grpc
import hypothesis.strategies as st
import pytest
from hypothesis import given

from protector_service.capacity import Admission, CapacityLimiter, Charge, crafting_charge, decoding_charge
from rpc.errors import ServiceError

PHOTO = bytes(1000)


def charge(size: int) -> Charge:
    return Charge(size, "photo", "a photo")


def test_a_photo_is_charged_by_its_pixels_and_its_file() -> None:
    assert decoding_charge(PHOTO, width=6000, height=4000).bytes == 1000 + 12 * 3 * 24_000_000


def test_cloaks_are_charged_by_their_own_pixels_and_not_by_the_photo_s() -> None:
    assert crafting_charge(PHOTO, width=100, height=99, methods=2, cloaks=7).bytes == 1000 + 29_700 * (2 * 20 + 7 * 5)


def test_what_a_call_holds_can_be_lowered_and_raised_and_is_free_again_in_the_end() -> None:
    limiter = CapacityLimiter(100)
    with limiter.admitted(charge(80)) as admission:
        admission.change(charge(30))
        with limiter.admitted(charge(60)):
            with pytest.raises(ServiceError) as failure:
                admission.change(charge(50))
            assert limiter.bytes == 90, "it holds what it held"
        admission.change(charge(50))
        assert limiter.bytes == 50
    assert limiter.bytes == 0
    assert failure.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert failure.value.retry_after_ms == 1000


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 60), st.integers(0, 120)), max_size=40))
def test_the_bound_holds_whatever_comes(calls: list[tuple[int, int, int]]) -> None:
    """Calls that come, change and go, five at a time."""
    limiter = CapacityLimiter(100)
    running: dict[int, AbstractContextManager[Admission]] = {}
    for place, first, then in calls:
        if place in running:
            running.pop(place).__exit__(None, None, None)
        entering = limiter.admitted(charge(first))
        try:
            admission = entering.__enter__()
        except ServiceError:
            continue
        running[place] = entering
        with suppress(ServiceError):
            admission.change(charge(then))
        assert 0 <= limiter.bytes <= 100
    for entered in running.values():
        entered.__exit__(None, None, None)
    assert limiter.bytes == 0
