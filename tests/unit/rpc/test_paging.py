"""Pages of a label set."""

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from rpc.errors import ServiceError
from rpc.paging import MAX_PER_PAGE, Page, page_of

NAMES = tuple(f"identity_{place}" for place in range(10))


def refusal(*, page_size: int = 0, page_token: str = "") -> str:
    with pytest.raises(ServiceError) as refused:
        page_of(NAMES, page_size=page_size, page_token=page_token)
    assert refused.value.code.name == "INVALID_ARGUMENT"
    return refused.value.message


@settings(deadline=None)
@given(count=st.integers(0, 40), page_size=st.integers(1, 50))
def test_the_pages_together_are_the_whole_list_in_its_order(count: int, page_size: int) -> None:
    names = [f"identity_{place}" for place in range(count)]
    read: list[str] = []
    token, pages = "", 0
    while token or not pages:
        page = page_of(names, page_size=page_size, page_token=token)
        assert len(page.identities) <= page_size
        read += page.identities
        token, pages = page.next_page_token, pages + 1
    assert read == names
    assert pages == max(1, -(-count // page_size))


def test_size_0_leaves_it_to_the_service() -> None:
    many = [str(place) for place in range(MAX_PER_PAGE + 1)]
    first = page_of(many, page_size=0, page_token="")
    assert len(first.identities) == 10_000
    assert page_of(many, page_size=0, page_token=first.next_page_token) == Page(["10000"], "")


def test_the_last_page_has_no_token() -> None:
    assert page_of(NAMES, page_size=10, page_token="").next_page_token == ""
    assert page_of(NAMES, page_size=9, page_token="").next_page_token != ""


def test_an_empty_list_is_one_empty_page() -> None:
    assert page_of((), page_size=5, page_token="") == Page((), "")


@pytest.mark.parametrize("page_size", [-1, 10_001, 2**31 - 1])
def test_a_size_out_of_range_is_refused(page_size: int) -> None:
    assert refusal(page_size=page_size) == f"page_size: expected 0..10000, got {page_size}"


@pytest.mark.parametrize("token", ["10", "11", "-1", "+1", "1.0", " 1", "٣", "²", "0x1", "1_0", "next", "1\n"])
def test_a_token_that_was_never_given_is_refused(token: str) -> None:
    assert refusal(page_token=token) == f"page_token: expected a next_page_token of this list, got {token!r}"


@pytest.mark.parametrize("digit", ["9", "x", "0"])
def test_an_overlong_token_is_refused_in_few_words(digit: str) -> None:
    message = refusal(page_token=digit * 10_000)
    assert message.startswith("page_token: expected a next_page_token of this list, got ")
    assert len(message) < 200
