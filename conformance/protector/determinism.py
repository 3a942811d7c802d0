"""The same request gives the same cloaks."""

import asyncio
from collections.abc import Sequence

from conformance.check import check, fail_for
from conformance.protector.service import EPSILONS, SEED, Protector, Response
from orchestrator.experiment.grid import CONTROL, METHODS, NOISE

COPIES = 2  # of every row, at the same time


def difference(expected: Sequence[Response], got: Sequence[Response]) -> str | None:
    """How two answers to the same request differ; None where they do not. The order of methods is the service's."""
    before, after = ({(each.method, each.epsilon): each.cloak for each in row} for row in (expected, got))
    if before.keys() != after.keys():
        return "other methods and epsilons"
    changed = [
        f"{method}, epsilon {epsilon}" for (method, epsilon), cloak in before.items() if after[method, epsilon] != cloak
    ]
    return f"{len(changed)} of {len(before)} cloaks are others, such as {changed[0]}" if changed else None


@check(
    "protector.repeatable",
    demands="The same request gives the same bytes.",
    why="A run that is gone on with, or done again, is the same run only then.",
)
async def repeatable(service: Protector) -> None:
    problems = []
    for model, subject in service.pairs():
        again = await service.craft(service.request(model, subject))
        if (apart := difference(await service.row(model, subject), again)) is not None:
            problems.append(f"{model}, {subject.identity}: {apart}")
    fail_for(problems)


@check(
    "protector.alone",
    demands="A cloak is the same whether it is asked for alone or with all methods and budgets.",
    why="Where a stream breaks, only what is missing is asked for again.",
)
async def alone(service: Protector) -> None:
    row = {(each.method, each.epsilon): each.cloak for each in await service.row(service.model, service.subject)}
    problems = []
    for method in service.method_names:
        for epsilon in (0,) if method == CONTROL else EPSILONS:
            responses = await service.craft(service.request(methods=[method], epsilons=[epsilon]))
            if [each.cloak for each in responses] != [row.get((method, epsilon))]:
                problems.append(f"{method}, epsilon {epsilon}: alone it is another cloak")
    fail_for(problems)


@check(
    "protector.under-load",
    demands=f"Every row is the same bytes while all rows are asked for {COPIES} times at once.",
    why="Cloaks of requests that share a batch, a thread or a random generator may depend on who else asks.",
)
async def under_load(service: Protector) -> None:
    pairs = [(model, subject) for _ in range(COPIES) for model, subject in service.pairs()]
    alone = [await service.row(model, subject) for model, subject in pairs]
    # One that is worked on after all the others is given the time of all.
    loaded = await asyncio.gather(
        *(service.craft(service.request(model, subject), times=len(pairs)) for model, subject in pairs)
    )
    fail_for(
        f"{model}, {subject.identity}: {apart}"
        for (model, subject), expected, got in zip(pairs, alone, loaded, strict=True)
        if (apart := difference(expected, got)) is not None
    )


@check(
    "protector.seed",
    demands="Another seed gives other noise and another pgd, be it another in its 64th bit only, or in its first; and the "
    "same control, bim, illc and fgsm.",
    why="These methods start at the probe and draw nothing; noise that no seed changes is one draw for a whole run.",
)
async def seed(service: Protector) -> None:
    before = {(each.method, each.epsilon): each.cloak for each in await service.row(service.model, service.subject)}
    problems = [
        f"{each.method}, epsilon {each.epsilon}: depends on the seed"
        for each in await service.craft(service.request(seed=SEED + 1))
        if each.method in (CONTROL, "fgsm", *METHODS) and before.get((each.method, each.epsilon)) != each.cloak
    ]
    for method in (NOISE, "pgd"):
        if method in service.method_names:
            problems += await _drawn_alike(service, method)
    fail_for(problems)


async def _drawn_alike(service: Protector, method: str) -> list[str]:
    """Pairs of seeds by which a method that draws gives the same cloak."""
    cloaks: dict[bytes, int] = {}
    problems = []
    for seed in (SEED, SEED + 1, SEED + 2**32, SEED + 2**63, 2**64 - 1, 2**64 - 2):
        (cloak, *_) = [
            each.cloak for each in await service.craft(service.request(methods=[method], epsilons=[8], seed=seed))
        ] or [b""]
        if cloak in cloaks:
            problems.append(f"{method}: the seeds {cloaks[cloak]} and {seed} give the same")
        cloaks.setdefault(cloak, seed)
    return problems
