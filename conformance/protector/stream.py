"""What comes in a stream, and in which order."""

from collections import Counter
from collections.abc import Iterator, Sequence

from conformance.check import Problems, check
from conformance.protector.service import CONTROL, EPSILONS, Protector, Response


@check(
    "order",
    demands="Within a method, cloaks come with the smallest budget first, whatever the order they were asked for in.",
    why="A stream that breaks has then brought the budgets that cost least, and the rest is asked for again.",
)
async def order(service: Protector) -> Problems:
    for row, changes in service.samples().items():
        responses = await service.answers(**changes)
        for method in service.method_names:
            came = [each.epsilon for each in responses if each.method == method]
            if came != sorted(came):
                yield f"{row}: {method}: expected epsilons ascending, got {', '.join(map(str, came))}"


@check(
    "complete",
    demands="Every method and epsilon that was asked for comes exactly once, the control once with epsilon 0, and nothing "
    "else.",
    why="A cloak that is missing is a short cell; one that comes twice is two answers to one question.",
)
async def complete(service: Protector) -> Problems:
    whole = [(name, epsilon) for name in service.method_names for epsilon in ((0,) if name == CONTROL else EPSILONS)]
    requests = [(row, whole, changes) for row, changes in service.samples().items()]
    requests += [
        (f"the control with epsilons {epsilons}", [(CONTROL, 0)], {"methods": [CONTROL], "epsilons": epsilons})
        for epsilons in ([], [9, 4])
    ]
    requests += [
        (f"{method} alone", [(method, 4)], {"methods": [method], "epsilons": [4]}) for method in service.crafting[:1]
    ]
    for what, expected, changes in requests:
        for problem in _missing_or_more(expected, await service.answers(**changes)):
            yield f"{what}: {problem}"


def _missing_or_more(expected: Sequence[tuple[str, int]], responses: Sequence[Response]) -> Iterator[str]:
    asked, came = Counter(expected), Counter((each.method, each.epsilon) for each in responses)
    yield from (f"{method}, epsilon {epsilon}, does not come" for method, epsilon in asked - came)
    yield from (f"{method}, epsilon {epsilon}, comes too often" for method, epsilon in came - asked)
