"""Names are looked up; of repeated values each comes once, and no more are looked at than there are to choose from."""

from collections.abc import Iterator

import pytest

from rpc.errors import ServiceError, invalid_argument
from rpc.lookup import distinct, look_up


class Counted:
    """A million times the same values, of which a test sees how many were looked at."""

    def __init__(self, *values: int) -> None:
        self._values = values
        self.looked_at = 0

    def __iter__(self) -> Iterator[int]:
        for _ in range(10**6):
            for value in self._values:
                self.looked_at += 1
                yield value


def level(field: str, value: int) -> str:
    if not 0 <= value < 256:
        raise invalid_argument(field, expected="0..255", actual=str(value))
    return f"level {value}"


def test_values_are_read_in_their_order() -> None:
    assert distinct("levels", [8, 4, 0], level) == ("level 8", "level 4", "level 0")
    assert distinct("levels", [], level) == ()


def test_a_value_that_cannot_be_read_is_named_by_its_place() -> None:
    with pytest.raises(ServiceError, match=r"levels\[1\]: expected 0\.\.255, got 300"):
        distinct("levels", [4, 300], level)


def test_a_value_that_comes_twice_is_named() -> None:
    with pytest.raises(ServiceError, match=r"levels: expected no repetition, got 4 twice") as refused:
        distinct("levels", [4, 8, 4], level)
    assert refused.value.code.name == "INVALID_ARGUMENT"


@pytest.mark.parametrize("values", [(7,), tuple(range(256))])
def test_of_any_number_of_values_one_more_is_looked_at_than_there_are(values: tuple[int, ...]) -> None:
    many = Counted(*values)
    with pytest.raises(ServiceError, match="no repetition"):
        distinct("levels", many, level)
    assert many.looked_at == len(values) + 1


def test_a_name_is_looked_up_or_refused_with_those_that_are_known() -> None:
    known = {"bim": 1, "illc": 2}
    assert look_up("methods[0]", "illc", known=known) == 2
    with pytest.raises(ServiceError, match=r"methods\[0\]: expected one of bim, illc, got 'cw'") as refused:
        look_up("methods[0]", "cw", known=known)
    assert refused.value.code.name == "NOT_FOUND"
