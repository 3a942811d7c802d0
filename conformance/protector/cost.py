"""What cloaks cost, and what of it is stated beforehand."""

from collections.abc import Sequence

from deid.protector.v1 import protector_pb2

from conformance.check import Problems, check
from conformance.protector.methods import GRADIENTS_PER_STEP
from conformance.protector.service import COSTED, Protector

COUNTED = ("gradients", "forward_passes")  # fields of a cost, and of a cloak's response


@check(
    "costs",
    demands="Each method states what each of the requested budgets costs, in the order of the request, or, where its budget "
    "is its own, what this costs, with epsilon 0, and nothing of others: gradients and forward passes, not fewer than 0, "
    "and 0 for controls.",
    why="Methods and budgets are chosen, and runs are planned, by what they cost.",
)
async def costs(service: Protector) -> Problems:
    for epsilons in (COSTED, ()):
        for method in (await service.client.ask("ListMethods", epsilons=epsilons)).methods:
            stated = [cost.epsilon for cost in method.costs]
            expected_of = [0] if method.HasField("own_budget") else list(epsilons)
            if stated != expected_of:
                yield f"{method.name}: expected the costs of epsilons {_listed(expected_of)}, got {_listed(stated)}"
            for cost in method.costs:
                for what in COUNTED:
                    number: int = getattr(cost, what)
                    if number < 0 or (method.control and number):
                        expected = "0" if method.control else "0 or more"
                        yield f"{method.name}, epsilon {cost.epsilon}: expected {expected} {what}, got {number}"


@check(
    "gradients",
    demands="No cloak takes more gradients or forward passes than its method states for its budget, and a control takes "
    "none. bim, illc, fgsm, pgd, mi, ni, di, ti and ti-di-mi take one gradient a step, si five and bsr twenty.",
    why="Methods are compared at equal budgets, and read by what they cost: a better cloak of ten times the gradients is "
    "no better method.",
)
async def gradients(service: Protector) -> Problems:
    for cloak in await service.cloaks():
        each = cloak.response
        most = service.costs.get((each.method, each.epsilon))
        if each.method in service.controls:
            most = protector_pb2.BudgetCost()
        for what in COUNTED:
            taken: int = getattr(each, what)
            if taken < 0 or (most is not None and taken > getattr(most, what)):
                expected = "0 or more" if taken < 0 else f"at most {getattr(most, what)}"
                yield f"{cloak.name}: expected {expected} {what}, got {taken}"
        exactly = GRADIENTS_PER_STEP.get(each.method, 0) * each.n_iter
        if each.method in GRADIENTS_PER_STEP and each.gradients != exactly:
            yield f"{cloak.name}: expected {exactly} gradients in {each.n_iter} steps, got {each.gradients}"


def _listed(epsilons: Sequence[int]) -> str:
    return ", ".join(map(str, epsilons)) or "none"
