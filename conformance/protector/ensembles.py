"""Several source models that are requested as one."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import grpc

from conformance.both.bad_requests import UNKNOWN_NAME, refused
from conformance.check import NotApplicable, Problems, check
from conformance.images import decoded
from conformance.protector.lists import ENSEMBLE
from conformance.protector.methods import GRADIENTS_PER_STEP, n_iter
from conformance.protector.service import Protector, by_budget, probe_of
from conformance.refusals import BadRequest, Refused, invalid, unknown_name

EPSILON = 4  # levels


@check(
    "ensemble",
    demands="Two source models with the same label set can be requested as one, by their names in ascending order joined "
    "by +. Probe and cloaks then have the larger of the input sizes, the budget holds, and a cloak takes the gradients of "
    "both. A service without ensembles refuses them with INVALID_ARGUMENT naming `source_model`.",
    why="Cloaks of one model seldom work on others, and those of several are compared with them at equal budgets and at "
    "what they cost.",
)
async def ensemble(service: Protector) -> Problems:
    members = _pair(service, same_label_set=True)
    if not members:
        raise NotApplicable("no two of its source models have the same label set")
    try:
        row = await service.answers(**_of(service, members), methods=service.method_names, epsilons=[EPSILON])
    except Refused as got:
        if not list(invalid("", "source_model").problems(got.refusal)):
            raise NotApplicable(f"it offers no ensembles: {got.refusal.message}") from got
        yield str(got)
        return
    side = max(member.input_size for member in members)
    probe = probe_of(row, "the row")
    came = by_budget(row)
    for method in service.method_names:
        (epsilon,) = service.budgets(method, [EPSILON])
        each = came.get((method, epsilon))
        if each is None:
            yield f"{method}, epsilon {epsilon}, is missing"
            continue
        levels = decoded(each.cloak, method).levels
        if levels.shape != (side, side, 3) or each.side != side:
            height, width, _ = levels.shape
            yield f"{method}: expected {side} x {side} and side {side}, got {width} x {height} and side {each.side}"
        elif not abs(levels - probe).max() == each.largest_change <= service.bound(each):
            change = f"{abs(levels - probe).max()}, stated as {each.largest_change}"
            yield f"{method}: expected at most {service.bound(each)} levels of change, got {change}"
        steps = n_iter(method, each.epsilon)
        if method in GRADIENTS_PER_STEP and steps is not None:
            expected = len(members) * GRADIENTS_PER_STEP[method] * steps
            if each.gradients != expected:
                yield f"{method}: expected {expected} gradients of {len(members)} source models, got {each.gradients}"


@check(
    "bad-ensembles",
    demands="An ensemble in descending order, and one with a member twice, are refused with INVALID_ARGUMENT, one with an "
    "unknown member with NOT_FOUND, and one of different label sets with INVALID_ARGUMENT where a method needs a label "
    "set, all naming `source_model`. A service without ensembles may use either status.",
    why="With two names for one ensemble a grid holds the same cloaks twice; a member that is left out makes another "
    "experiment.",
)
async def bad_ensembles(service: Protector) -> Problems:
    names = [model.name for model in service.models]
    twice, unknown = (ENSEMBLE.join([names[0], each]) for each in (names[0], UNKNOWN_NAME))
    bad = [
        invalid("a member twice", "source_model", source_model=twice),
        unknown_name("an unknown member", "source_model", source_model=unknown),
    ]
    members, others = (_pair(service, same_label_set=same) for same in (True, False))
    if members:
        descending = ENSEMBLE.join(sorted((member.name for member in members), reverse=True))
        bad.append(invalid("descending order", "source_model", **{**_of(service, members), "source_model": descending}))
    needing = service.needing_label_set
    if others and needing:
        bad.append(invalid("different label sets", "source_model", **_of(service, others), methods=needing))
    if not members or await service.refusal(**_of(service, members), **service.cheap) is not None:
        bad = [_by_either_status(each) for each in bad]
    async for problem in refused(service, bad):
        yield problem


def _pair(service: Protector, *, same_label_set: bool) -> Sequence[Any]:
    """Two source models by name; none if there are no two.

    Of those whose faces are cut out by the same rule if there are such, and of different input sizes likewise.
    """
    pairs = [
        (first, second)
        for first, second in combinations(sorted(service.models, key=lambda model: str(model.name)), 2)
        if (first.label_set_sha256 == second.label_set_sha256) == same_label_set
    ]
    return max(
        pairs,
        key=lambda pair: (pair[0].extraction == pair[1].extraction, pair[0].input_size != pair[1].input_size),
        default=(),
    )


def _of(service: Protector, members: Sequence[Any]) -> dict[str, Any]:
    subject = service.subjects[members[0].name][0]
    name = ENSEMBLE.join(member.name for member in members)
    return {"source_model": name, "identity": subject.identity, "photo": subject.photo}


def _by_either_status(bad: BadRequest) -> BadRequest:
    codes = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)
    return BadRequest(bad.what, codes, bad.changes, bad.field)
