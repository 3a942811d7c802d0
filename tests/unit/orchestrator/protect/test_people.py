"""Who is not the person in the photo, by chains of likenesses."""

import pytest

from orchestrator.protect.people import apart


def likenesses(*pairs: str) -> dict[str, frozenset[str]]:
    """Of pairs like "ab": a is near b, and nobody says so of b."""
    found: dict[str, frozenset[str]] = {}
    for pair in pairs:
        one, other = pair[0], pair[1]
        found[one] = found.get(one, frozenset()) | {other}
    return found


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ((), ("a", "b", "c")),
        (("xa",), ("b", "c")),
        (("xa", "ab", "bc"), ()),  # a chain
        (("ax", "ba", "cb"), ()),  # a likeness holds both ways
        (("xa", "bc", "cb"), ("b", "c")),  # another person, twice
        (("ab", "bc"), ("a", "b", "c")),  # one person, who is not in the photo
    ],
)
def test_photos_without_a_chain_of_likenesses_to_the_photo_are_another_person_s(
    pairs: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert apart("x", ("a", "b", "c"), likenesses(*pairs)) == expected
