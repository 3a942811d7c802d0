"""Whether photos show one person, as far as one recognizer's threshold can tell. Pure."""

from collections.abc import Mapping, Sequence


def apart(searched: str, others: Sequence[str], likenesses: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
    """The photos that no chain of likenesses leads to from the one that is searched, in their order.

    Args:
        searched: a photo.
        others: photos that are taken for the same person's.
        likenesses: of each photo, those that are near enough to it.
    """
    near = {searched}
    waiting = [searched]
    while waiting:
        one = waiting.pop()
        beside = likenesses.get(one, frozenset()) | {name for name, alike in likenesses.items() if one in alike}
        waiting += beside - near
        near |= beside
    return tuple(name for name in others if name not in near)
