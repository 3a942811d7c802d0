"""The search: from the smallest budget upwards, until nobody who is asked names the person; the others only then, once."""

from collections.abc import Awaitable, Callable, Sequence

from orchestrator.protect.case import UNCHANGED, Answer, Case

Ask = Callable[[int, Sequence[str]], Awaitable[tuple[Answer, ...]]]
"""Asks some recognizers about all pictures of a case at a budget, under all of its conditions."""


async def settle(case: Case, ask: Ask) -> Case:
    """The case with all answers that settle it.

    Those who are held out are asked about the cloak that was found and about no cloak, and about nothing else.

    Args:
        case: without answers.
        ask: asks recognizers.

    Raises:
        OrchestratorError: an answer cannot be had.
    """
    case = case.with_answers(await ask(UNCHANGED, case.asked))
    for budget in case.budgets:
        if case.is_settled:
            break
        case = case.with_answers(await ask(budget, case.asked))
    if case.found is not None and case.held_out:
        found = case.found
        case = case.with_answers(await ask(UNCHANGED, case.held_out))
        case = case.with_answers(await ask(found, case.held_out))
    return case
