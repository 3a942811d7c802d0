"""Pages of a label set."""

from collections.abc import Sequence
from dataclasses import dataclass

from rpc.errors import invalid_argument, quoted

MAX_PER_PAGE = 10_000
_MAX_NUMBER = 12  # digits: no label set is larger


@dataclass(frozen=True)
class Page:
    """Some identities, and the token of the page after (empty on the last)."""

    identities: Sequence[str]
    next_page_token: str


def page_of(identities: Sequence[str], *, page_size: int, page_token: str) -> Page:
    """The page that a ListIdentities request asks for.

    Raises:
        ServiceError: INVALID_ARGUMENT: page_size is not 0..10000, or the token is not one that this service gave.
    """
    if not 0 <= page_size <= MAX_PER_PAGE:
        raise invalid_argument("page_size", expected=f"0..{MAX_PER_PAGE}", actual=str(page_size))
    if page_token and not (_is_number(page_token) and int(page_token) < len(identities)):
        raise invalid_argument("page_token", expected="a next_page_token of this list", actual=quoted(page_token))
    start = int(page_token or 0)
    end = start + (page_size or MAX_PER_PAGE)
    return Page(identities[start:end], str(end) if end < len(identities) else "")


def _is_number(text: str) -> bool:
    return len(text) < _MAX_NUMBER and text.isascii() and text.isdigit()
