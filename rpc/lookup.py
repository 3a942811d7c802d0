"""What the fields of a request name."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TypeVar

from rpc.errors import invalid_argument, not_found

Asked = TypeVar("Asked", bound=Hashable)
T = TypeVar("T")


def look_up(field: str, name: str, *, known: Mapping[str, T]) -> T:
    """What a field names.

    Raises:
        ServiceError: NOT_FOUND: nothing that is known.
    """
    try:
        return known[name]
    except KeyError:
        raise not_found(field, name, known=known) from None


def distinct(field: str, values: Iterable[Asked], read: Callable[[str, Asked], T]) -> tuple[T, ...]:
    """What the values of a repeated field mean, as `read` has it, which is handed the place, `field[i]`, and the value.

    It stops at the first value that cannot be read or was there before. However many came, it looks at one more at most than
    there are to choose from.

    Raises:
        ServiceError: INVALID_ARGUMENT: a value comes twice.
        Exception: whatever `read` raises.
    """
    found: dict[Asked, T] = {}
    for place, value in enumerate(values):
        meant = read(f"{field}[{place}]", value)
        if value in found:
            raise invalid_argument(field, expected="no repetition", actual=f"{value} twice")
        found[value] = meant
    return tuple(found.values())
