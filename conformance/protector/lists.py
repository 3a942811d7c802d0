"""What a protector lists."""

from conformance.both.lists import is_digest, list_problems, model_problems
from conformance.check import Problems, check
from conformance.protector.methods import CONTROL, NOISE
from conformance.protector.service import Protector

CARRIERS = ("probe", "gallery")
MAX_LEVEL = 255
ENSEMBLE = "+"  # between the names of its members


@check(
    "models",
    demands="Source models are listed once each, sorted by name, with input size, number of identities and digests. No "
    "name has a +: ensembles are not listed.",
    why="A run is bound to its models: with an ambiguous list it could be continued with others.",
)
async def models(service: Protector) -> Problems:
    for problem in model_problems(service.models):
        yield problem
    for model in service.models:
        if model.input_size < 1:
            yield f"{model.name}: expected an input size in pixels, got {model.input_size}"
        if model.checkpoint_sha256 and not is_digest(model.checkpoint_sha256):
            yield f"{model.name}: expected checkpoint_sha256 in 64 lower-case hexadecimal digits"
        if ENSEMBLE in model.name:
            yield f"{model.name}: expected a name without {ENSEMBLE}"


@check(
    "methods",
    demands="Methods are listed once each, sorted by name; none and noise are among them, marked as controls. Controls "
    "need no label set, and have no budget of their own. A budget of a method's own is stated in words, with a "
    "largest change of 1 to 255 levels; a carrier is probe or gallery.",
    why="The effect of a cloak is measured against what happens to any image, and to any noise, on the same path.",
)
async def methods(service: Protector) -> Problems:
    for problem in list_problems(service.methods):
        yield problem
    controls = [method.name for method in service.methods if method.control]
    for name in (CONTROL, NOISE):
        if name not in controls:
            yield f"expected {name} to be listed as a control"
    for method in service.methods:
        if method.control and method.needs_label_set:
            yield f"{method.name}: expected a control to need no label set"
        if method.HasField("own_budget"):
            own = method.own_budget
            if method.control:
                yield f"{method.name}: expected a control without a budget of its own"
            if not own.in_words.strip() or not 1 <= own.largest_change <= MAX_LEVEL:
                got = f"{own.in_words!r:.60} and {own.largest_change}"
                yield f"{method.name}: expected its own budget in words, and a largest change of 1..{MAX_LEVEL}, got {got}"
        if method.carrier not in ("", *CARRIERS):
            yield f"{method.name}: expected the carrier {' or '.join(CARRIERS)}, or none, got {method.carrier!r:.60}"
