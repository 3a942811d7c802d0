"""Requests that an invader must refuse."""

from conformance.both.bad_requests import ENDLESS, PATH, UNKNOWN_NAME, refused
from conformance.check import Problems, check
from conformance.invader.service import Invader
from conformance.refusals import invalid, unknown_name


@check(
    "bad-k",
    demands="A k below 1, or above the largest k that a target model states, is refused with INVALID_ARGUMENT naming `k`.",
    why="An answer that is silently shorter than requested makes identities look protected.",
    queries=5,
)
def bad_k(service: Invader) -> Problems:
    model = service.models[0]
    beyond = (0, -1, model.max_candidates + 1, 2**31 - 1)
    return refused(service, (invalid(f"k {k}", "k", target_models=[model.name], k=k) for k in beyond))


@check(
    "bad-models",
    demands="A request without a target model, or with a repeated one, is refused with INVALID_ARGUMENT naming "
    "`target_models`; one with an unknown target model with NOT_FOUND.",
    why="An answer that leaves out a requested model is an observation that nobody made.",
    queries=7,
)
def bad_models(service: Invader) -> Problems:
    field, first = "target_models", service.model_names[0]
    unknown = {
        "an unknown target model": [UNKNOWN_NAME],
        "a known and an unknown target model": [first, UNKNOWN_NAME],
        "a path as target model": [PATH],
        "an endless name as target model": [ENDLESS],
    }
    return refused(
        service,
        (
            invalid("no target model", field, target_models=[]),
            invalid("a target model twice", field, target_models=[first, first], k=1),
            *(unknown_name(what, field, target_models=names, k=1) for what, names in unknown.items()),
        ),
    )
