"""What comes in a stream, and in which order."""

from collections import Counter

from conformance.check import check, fail_for
from conformance.protector.service import EPSILONS, Protector, Response
from orchestrator.experiment.grid import CONTROL


@check(
    "protector.order",
    demands="Within a method, cloaks come with the smallest budget first, whatever the order they were asked for in.",
    why="A stream that breaks has then brought the budgets that cost least, and the rest is asked for again.",
)
async def order(service: Protector) -> None:
    problems = []
    for model, subject in service.pairs():
        for method in service.method_names:
            came = [each.epsilon for each in await service.row(model, subject) if each.method == method]
            if came != sorted(came):
                problems.append(f"{model}: {method}: expected epsilons ascending, got {', '.join(map(str, came))}")
    fail_for(problems)


@check(
    "protector.complete",
    demands="Every method and epsilon that was asked for comes exactly once, the control once with epsilon 0, and nothing "
    "else.",
    why="A cloak that is missing is a short cell; one that comes twice is two answers to one question.",
)
async def complete(service: Protector) -> None:
    expected = Counter(
        (name, epsilon) for name in service.method_names for epsilon in ((0,) if name == CONTROL else EPSILONS)
    )
    problems = []
    for model, subject in service.pairs():
        problems += _apart(model, expected, await service.row(model, subject))
    for epsilons in ([], [9, 4]):
        responses = await service.craft(service.request(methods=[CONTROL], epsilons=epsilons))
        problems += _apart(f"the control with epsilons {epsilons}", Counter({(CONTROL, 0): 1}), responses)
    for method in service.crafting[:1]:
        responses = await service.craft(service.request(methods=[method], epsilons=[4]))
        problems += _apart(f"{method} alone", Counter({(method, 4): 1}), responses)
    fail_for(problems)


def _apart(what: str, expected: Counter[tuple[str, int]], responses: list[Response]) -> list[str]:
    came = Counter((each.method, each.epsilon) for each in responses)
    missing, more = expected - came, came - expected
    faults = [f"{what}: {method}, epsilon {epsilon}, does not come" for method, epsilon in missing]
    return faults + [f"{what}: {method}, epsilon {epsilon}, comes too often" for method, epsilon in more]
