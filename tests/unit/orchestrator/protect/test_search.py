"""The order of the questions: upwards, no further than needed, and those who are held out at the end alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from orchestrator.protect.case import Answer
from orchestrator.protect.search import settle
from tests.support.protect_cases import BUDGETS, answers_of, case_of

CASE = replace(case_of({"a": "n n n n", "b": "n n n n"}, {"c": "n n"}), answers=())


@dataclass
class Told:
    """Answers as a test says: a letter for each budget at which somebody names the person."""

    naming: dict[str, tuple[int, ...]]
    asked: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)

    async def __call__(self, budget: int, recognizers: Sequence[str]) -> tuple[Answer, ...]:
        self.asked.append((budget, tuple(recognizers)))
        return tuple(
            answer
            for name in recognizers
            for answer in answers_of(name, budget, "Y" if budget in self.naming[name] else "n", CASE)
        )


AB, C = ("a", "b"), ("c",)


@pytest.mark.parametrize(
    ("naming", "found", "asked"),
    [
        ({"a": (0,), "b": (0,), "c": (0,)}, 2, [(0, AB), (2, AB), (0, C), (2, C)]),
        ({"a": (0, 2), "b": (0,), "c": (0, 4)}, 4, [(0, AB), (2, AB), (4, AB), (0, C), (4, C)]),
        ({"a": (0, 2), "b": (0, 4), "c": ()}, 8, [(0, AB), (2, AB), (4, AB), (8, AB), (0, C), (8, C)]),
        ({"a": (0, *BUDGETS), "b": (0,), "c": ()}, None, [(0, AB), (2, AB), (4, AB), (8, AB)]),
        ({"a": (), "b": (), "c": (0,)}, None, [(0, AB)]),  # there is nothing to hide
    ],
)
async def test_budgets_are_looked_at_upwards_and_the_held_out_asked_about_what_was_found_alone(
    naming: dict[str, tuple[int, ...]], found: int | None, asked: list[tuple[int, tuple[str, ...]]]
) -> None:
    told = Told(naming)
    case = await settle(CASE, told)
    assert (case.found, told.asked, case.is_settled) == (found, asked, True)


async def test_with_nobody_held_out_nobody_else_is_asked() -> None:
    told = Told({"a": (0,), "b": (0,)})
    case = await settle(replace(CASE, held_out=()), told)
    assert (case.found, told.asked) == (2, [(0, AB), (2, AB)])
