"""What a protector states of a method, checked: an unknown service may send anything."""

from collections.abc import Sequence

from deid.protector.v1 import protector_pb2

from orchestrator.errors import UnusableServiceError
from orchestrator.experiment.carrier import Carrier
from orchestrator.experiment.method import Cost, Method, OwnBudget
from orchestrator.services.listed_model import MAX_STATED, one_line
from rpc.errors import quoted

LEVELS = 255
MAX_PARAMETERS = 50  # a choice: the protocol sets no bound


def listed_method(method: protector_pb2.Method, epsilons: Sequence[int], *, service: str) -> Method:
    """A listed method; costs were asked for at these budgets.

    Raises:
        UnusableServiceError: it states too many or too long parameters, costs of other budgets, or negative ones, or a
            budget of its own, or a carrier, that is none.
    """
    problem = _problem(method, epsilons)
    if problem:
        raise UnusableServiceError(f"{service}: the method {quoted(method.name)}: expected {problem}")
    stated = {one_line(name): one_line(words) for name, words in sorted(method.parameters.items())}
    return Method(
        parameters={name: words for name, words in stated.items() if words},
        needs_label_set=method.needs_label_set,
        costs={cost.epsilon: Cost(cost.gradients, cost.forward_passes) for cost in method.costs},
        own_budget=_own_budget(method),
        carrier=method.carrier,
    )


def _own_budget(method: protector_pb2.Method) -> OwnBudget | None:
    if not method.HasField("own_budget"):
        return None
    return OwnBudget(one_line(method.own_budget.in_words), method.own_budget.largest_change)


def _problem(method: protector_pb2.Method, epsilons: Sequence[int]) -> str:
    """What was expected of the method, and what came instead; empty where all is as expected."""
    if len(method.parameters) > MAX_PARAMETERS:
        return f"at most {MAX_PARAMETERS} parameters, got {len(method.parameters)}"
    for name, words in method.parameters.items():
        if not name.strip() or max(len(name), len(words)) > MAX_STATED:
            return (
                f"parameters of 1..{MAX_STATED} characters in the name and at most {MAX_STATED} in the words, got "
                f"{quoted(name)} with {len(name)} and {len(words)}"
            )
    if method.HasField("own_budget"):
        epsilons = (0,)
        words, largest_change = method.own_budget.in_words, method.own_budget.largest_change
        if not (words.strip() and len(words) <= MAX_STATED and 1 <= largest_change <= LEVELS):
            return (
                f"a budget of its own in words of 1..{MAX_STATED} characters, with a largest change of 1..{LEVELS} levels, "
                f"got {quoted(words)} and {largest_change}"
            )
    if method.carrier not in ("", Carrier.PROBE, Carrier.GALLERY):
        return f"the carrier {Carrier.PROBE} or {Carrier.GALLERY}, got {quoted(method.carrier)}"
    budgets = [cost.epsilon for cost in method.costs]
    if len(set(budgets)) < len(budgets) or not set(budgets) <= set(epsilons):
        named = ", ".join(map(str, budgets[: len(epsilons) + 1]))
        return f"costs of the budgets {', '.join(map(str, epsilons))}, none twice, got costs of {named}"
    for cost in method.costs:
        if cost.gradients < 0 or cost.forward_passes < 0:
            return (
                f"costs of 0 or more, got {cost.gradients} gradients and {cost.forward_passes} forward passes at budget "
                f"{cost.epsilon}"
            )
    return ""
