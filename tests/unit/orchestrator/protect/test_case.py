"""What follows from answers: the smallest budget, who knows the person, and what a silence is worth."""

from dataclasses import replace

import pytest

from orchestrator.protect.case import Finding
from tests.support.protect_cases import BUDGETS, case_of


@pytest.mark.parametrize(
    ("asked", "found", "looked_at"),
    [
        ({"a": "Y n n n"}, 2, (2,)),
        ({"a": "Y Y n n"}, 4, (2, 4)),
        ({"a": "Y Yn nY nn"}, 8, BUDGETS),  # each condition has to be silent at the same budget
        ({"a": "Y n n n", "b": "Y Y n n"}, 4, (2, 4)),  # and each recognizer
        ({"a": "Y Y Y n"}, 8, BUDGETS),
        ({"a": "Y Y Y Y"}, None, BUDGETS),
        ({"a": "Y 0 n n"}, 2, (2,)),  # no face found hides, too
        ({"a": "Y n n n", "b": "n Y n n"}, 4, (2, 4)),  # whom a cloak makes name the person is not hidden from
        ({"a": "n n n n"}, None, ()),  # nobody knows the person: no cloak is looked for
    ],
)
def test_the_smallest_budget_at_which_nobody_asked_names_the_person_is_found(
    asked: dict[str, str], found: int | None, looked_at: tuple[int, ...]
) -> None:
    case = case_of(asked)
    assert (case.found, case.looked_at, case.is_settled) == (found, looked_at, True)


def test_a_budget_that_not_everybody_was_asked_about_was_not_looked_at() -> None:
    case = case_of({"a": "Y Y n n", "b": "Y Y n n"})
    assert case.found == 4
    answers = [each for each in case.answers if (each.recognizer, each.budget) != ("b", 4)]
    short = replace(case, answers=tuple(answers))
    assert (short.found, short.looked_at, short.is_settled) == (None, (2,), False)


def test_who_names_the_person_anywhere_without_a_cloak_knows_them() -> None:
    case = case_of({"a": "Y n n n", "b": "Yn n n n", "c": "n n n n"})
    assert case.known_to(case.asked) == ("a", "b")


def test_a_silence_that_needs_no_cloak_is_void_only_of_those_who_know_the_person() -> None:
    case = case_of({"a": "Yn n n n", "b": "n n n n", "c": "Y0 n n n"})
    assert [(each.recognizer, each.finding) for each in case.void(case.asked)] == [
        ("a", Finding.NOT_NAMED),
        ("c", Finding.NO_FACE),
    ]


def test_those_who_name_the_person_again_at_a_larger_budget_are_known() -> None:
    assert case_of({"a": "Y nY Yn n", "b": "Y YY Yn nn"}).relapsing() == ("a",)
