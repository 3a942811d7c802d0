"""Query budgets."""

import asyncio

from deid.invader.v1 import invader_pb2

from conformance.bad_input import NAMELESS
from conformance.check import Failed, NotApplicable, check, fail_for
from conformance.invader.service import Invader
from conformance.pictures import faceless
from rpc.errors import NEVER_AGAIN, QUERY_BUDGET_SPENT

AT_ONCE = 4
MAX_SPENT = 2000  # queries


@check(
    "invader.budget",
    demands="Where there is a budget, an answered query costs one, be it for one target model, for all, for no face, or for "
    "a whole image; several at once cost one each; lists cost nothing; and what is left is stated the same in answers and "
    "lists.",
    why="The budget is what bounds how far a model can be imitated; a run plans its queries by it.",
    queries=AT_ONCE + 4,
)
async def budget(service: Invader) -> None:
    left = await service.queries_left()
    problems: list[str] = []
    requests = [
        ("a query of one target model", service.request(target_models=service.names[:1])),
        ("a query of all target models", service.request()),
        ("a query about no face", service.request(faceless())),
    ]
    if invader_pb2.REGION_FULL in service.listed.regions:
        requests.append(("a query about a whole image", service.request(region=invader_pb2.REGION_FULL)))
    for what, request in requests:
        answer = await service.classify(request)
        stated = answer.queries_left if answer.HasField("queries_left") else None
        left = _compare(problems, what, expected=left - 1, stated=stated, listed=await service.queries_left())
    await asyncio.gather(*(service.classify(service.request()) for _ in range(AT_ONCE)))
    listed = await service.queries_left()
    _compare(problems, f"{AT_ONCE} queries at once", expected=left - AT_ONCE, stated=listed, listed=listed)
    fail_for(problems)


def _compare(problems: list[str], what: str, *, expected: int, stated: int | None, listed: int) -> int:
    if (stated, listed) != (expected, expected):
        problems.append(f"after {what}: expected {expected} left, the answer states {stated}, the list {listed}")
    return listed


@check(
    "invader.budget-errors",
    demands="Where there is a budget, a query that is refused costs nothing.",
    why="Nothing was disclosed; a client that errs must not lose what it may ask.",
    queries=4,
)
async def budget_errors(service: Invader) -> None:
    problems = []
    for what, changes in (
        ("a bad image", {"image": b"This is no image."}),
        ("half an image", {"image": service.subjects[0].photo[:200]}),
        ("k 0", {"k": 0}),
        ("an unknown target model", {"target_models": [NAMELESS], "k": 1}),
    ):
        before = await service.queries_left()
        await service.refusal(**changes)
        if (after := await service.queries_left()) != before:
            problems.append(f"{what} costs {before - after} queries")
    fail_for(problems)


@check(
    "invader.budget-spent",
    demands="With a spent budget a query is refused with RESOURCE_EXHAUSTED, the reason QUERY_BUDGET_SPENT and a pushback "
    "of -1; lists are answered.",
    why="A client that is not told that asking again is of no use asks for ever.",
    queries=1,  # where none is left; what may be spent is said by itself
)
async def budget_spent(service: Invader) -> None:
    left = await service.queries_left()
    if left and not service.may_spend:
        raise NotApplicable(f"{left} queries are left, and --spend-budget was not given")
    if left > MAX_SPENT:
        raise NotApplicable(f"{left} queries are left, more than the {MAX_SPENT} that are spent for this")
    for _ in range(left):
        if (refusal := await service.refusal(k=1)) is not None:
            raise Failed(f"{left} queries were left, and are not answered: {refusal}")
    refusal = await service.refusal(k=1)
    if refusal is None:
        raise Failed("expected QUERY_BUDGET_SPENT, got an answer")
    told = (refusal.code.name, refusal.reason, refusal.retry_after_ms)
    problems = []
    if told != ("RESOURCE_EXHAUSTED", QUERY_BUDGET_SPENT, NEVER_AGAIN):
        problems.append(f"expected RESOURCE_EXHAUSTED, {QUERY_BUDGET_SPENT} and a pushback of {NEVER_AGAIN}, got {told}")
    if (listed := await service.queries_left()) != 0:
        problems.append(f"expected 0 queries left, the list states {listed}")
    fail_for(problems)


def left_at_first(listed: invader_pb2.ListTargetModelsResponse) -> int | None:
    """What was left of our budget when the invader was met; None where it sets none."""
    return listed.queries_left if listed.HasField("queries_left") else None
