"""The content of a stream, and its order."""

from collections import Counter

from conformance.check import Problems, check
from conformance.protector.methods import CONTROL
from conformance.protector.service import EPSILONS, Protector
from conformance.service import Changes


@check(
    "order",
    demands="The cloaks of a method come in ascending order of their budgets, whatever their order in the request.",
    why="A stream that breaks off has then delivered the cheapest budgets, and the rest is requested again.",
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
    demands="Every requested method and epsilon comes exactly once, the control and methods with budgets of their own once "
    "with epsilon 0, whatever the epsilons, and nothing else.",
    why="A missing cloak leaves a cell short; one that comes twice is two answers to one question.",
)
async def complete(service: Protector) -> Problems:
    whole = [(name, epsilon) for name in service.method_names for epsilon in service.budgets(name, EPSILONS)]
    control, alone = [(CONTROL, 0)], service.crafting[:1]
    own = sorted(service.own_budgets, key=service.cost)[:1]
    requests: list[tuple[str, list[tuple[str, int]], Changes]] = [
        *((row, whole, changes) for row, changes in service.samples().items()),
        ("the control without epsilons", control, {"methods": [CONTROL], "epsilons": []}),
        ("the control with epsilons 9 and 4", control, {"methods": [CONTROL], "epsilons": [9, 4]}),
        *(
            (
                f"{method} alone",
                [(method, epsilon) for epsilon in service.budgets(method, [4])],
                {"methods": [method], "epsilons": [4]},
            )
            for method in alone
        ),
        *((f"{method} without epsilons", [(method, 0)], {"methods": [method], "epsilons": []}) for method in own),
        *((f"{method} with epsilons 9 and 4", [(method, 0)], {"methods": [method], "epsilons": [9, 4]}) for method in own),
    ]
    for what, expected, changes in requests:
        asked, came = Counter(expected), Counter((each.method, each.epsilon) for each in await service.answers(**changes))
        for method, epsilon in asked - came:
            yield f"{what}: {method}, epsilon {epsilon}, is missing"
        for method, epsilon in came - asked:
            yield f"{what}: {method}, epsilon {epsilon}, comes more often than requested"
