"""Cases of `orchestrator protect` from a few letters: what each recognizer answers, budget by budget."""

from collections.abc import Mapping

from orchestrator.experiment.carrier import Carrier
from orchestrator.experiment.condition import Condition, parse_conditions
from orchestrator.protect.case import Answer, Case, Finding
from orchestrator.protect.plan import Recognizers

CONDITIONS = parse_conditions("jpeg:95,jpeg:95+resize:1080+jpeg:75")
BUDGETS = (2, 4, 8)
FINDINGS = {"Y": Finding.NAMED, "n": Finding.NOT_NAMED, "0": Finding.NO_FACE, "-": Finding.NOT_ENROLLED}


def answers_of(recognizer: str, budget: int, letters: str, case: Case) -> tuple[Answer, ...]:
    """A recognizer's answers at a budget: a letter for each condition and search, or one for all."""
    keys = [(condition, searched) for condition in case.conditions for searched in case.searched]
    letters = letters * len(keys) if len(letters) == 1 else letters
    return tuple(
        Answer(recognizer, condition, budget, searched, FINDINGS[letter], first="you" if letter == "Y" else "")
        for (condition, searched), letter in zip(keys, letters, strict=True)
    )


def case_of(
    asked: Mapping[str, str],
    held_out: Mapping[str, str] | None = None,
    *,
    carrier: Carrier = Carrier.PROBE,
    photos: tuple[str, ...] = ("photo.jpg",),
    searched: tuple[str, ...] | None = None,
    conditions: tuple[Condition, ...] = CONDITIONS,
    budgets: tuple[int, ...] = BUDGETS,
    k: int = 1,
) -> Case:
    """A settled case.

    Args:
        asked: of each recognizer, its answers without a cloak and at each budget, separated by blanks; those after the one
            at which a cloak was found are left out.
        held_out: likewise, without a cloak and at the budget that was found.
        carrier: of the cloaks.
        photos: that wear them.
        searched: pictures that are searched; by default the photos.
        conditions: of the pictures.
        budgets: that were crafted.
        k: answers of a recognizer among which a name counts.
    """
    held_out = held_out or {}
    people = Recognizers(tuple(asked), tuple(held_out), tuple(asked))
    case = Case(
        photos=photos,
        searched=searched or photos,
        carrier=carrier,
        k=k,
        conditions=conditions,
        budgets=budgets,
        asked=people.asked,
        held_out=people.held_out,
        sources=people.sources,
    )
    for place, budget in enumerate((0, *budgets)):
        if case.is_settled and place:
            break
        for recognizer, letters in asked.items():
            case = case.with_answers(answers_of(recognizer, budget, letters.split()[place], case))
    at = case.found
    if at is not None:
        for recognizer, letters in held_out.items():
            before, after = letters.split()
            case = case.with_answers(answers_of(recognizer, 0, before, case))
            case = case.with_answers(answers_of(recognizer, at, after, case))
    return case
