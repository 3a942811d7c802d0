"""Query budgets."""

import asyncio

from deid.invader.v1 import invader_pb2

from conformance.both.bad_requests import UNKNOWN_NAME
from conformance.check import Failed, NotApplicable, Problems, check
from conformance.images import faceless
from conformance.invader.service import Invader
from conformance.service import Changes
from rpc.errors import NEVER_AGAIN, QUERY_BUDGET_SPENT

AT_ONCE = 4
MAX_SPENT = 2000  # queries


@check(
    "budget",
    demands="Where there is a budget, each answered query costs one, whether it asks one target model or all, finds no "
    "face, or reads a whole image, and also when several come at once. Lists cost nothing. Answers and lists "
    "state the same number of queries left.",
    why="The budget limits how closely a model can be imitated; runs plan their queries by it.",
    queries=AT_ONCE + 4,
)
async def budget(service: Invader) -> Problems:
    left = await service.queries_left()
    queries: dict[str, Changes] = {
        "a query of one target model": {"target_models": service.model_names[:1]},
        "a query of all target models": {},
        "a query about no face": {"image": faceless()},
    }
    if whole := service.listing(invader_pb2.REGION_FULL):
        queries["a query about a whole image"] = {"region": invader_pb2.REGION_FULL, "target_models": whole}
    for what, changes in queries.items():
        answer = await service.answer_again(**changes)
        stated = answer.queries_left if answer.HasField("queries_left") else None
        expected, left = left - 1, await service.queries_left()
        if (stated, left) != (expected, expected):
            yield f"after {what}: expected {expected} left, the answer states {stated}, the list {left}"
    await asyncio.gather(*(service.answer_again() for _ in range(AT_ONCE)))
    expected, left = left - AT_ONCE, await service.queries_left()
    if left != expected:
        yield f"after {AT_ONCE} queries at once: expected {expected} left, the list states {left}"


@check(
    "budget-errors",
    demands="Where there is a budget, a refused query costs nothing.",
    why="Nothing was disclosed, and a client's mistake must not cost it a query.",
    queries=4,
)
async def budget_errors(service: Invader) -> Problems:
    queries: dict[str, Changes] = {
        "a bad image": {"image": b"This is no image."},
        "half an image": {"image": service.photo[:200]},
        "k 0": {"k": 0},
        "an unknown target model": {"target_models": [UNKNOWN_NAME], "k": 1},
    }
    for what, changes in queries.items():
        before = await service.queries_left()
        await service.refusal(**changes)
        if (after := await service.queries_left()) != before:
            yield f"{what} costs {before - after} queries"


@check(
    "budget-spent",
    demands="Once the budget is spent, a query is refused with RESOURCE_EXHAUSTED, the reason QUERY_BUDGET_SPENT and a "
    "pushback of -1; lists are still answered.",
    why="A client that is not told that retrying is useless retries for ever.",
    queries=1,  # where none is left; what may be spent is noted separately
)
async def budget_spent(service: Invader) -> Problems:
    left = await service.queries_left()
    if left and not service.may_spend:
        raise NotApplicable(f"{left} queries are left, and --spend-budget was not given")
    if left > MAX_SPENT:
        raise NotApplicable(f"{left} queries are left, more than the {MAX_SPENT} that this check spends")
    for _ in range(left):
        if (refusal := await service.refusal(k=1)) is not None:
            raise Failed(f"{left} queries were left, and one was refused: {refusal}")
    refusal = await service.refusal(k=1)
    if refusal is None:
        raise Failed("expected QUERY_BUDGET_SPENT, got an answer")
    told = (refusal.code.name, refusal.reason, refusal.retry_after_ms)
    if told != ("RESOURCE_EXHAUSTED", QUERY_BUDGET_SPENT, NEVER_AGAIN):
        yield f"expected RESOURCE_EXHAUSTED, {QUERY_BUDGET_SPENT} and a pushback of {NEVER_AGAIN}, got {told}"
    if (listed := await service.queries_left()) != 0:
        yield f"expected 0 queries left, the list states {listed}"
