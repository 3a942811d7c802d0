"""What an invader lists."""

from deid.invader.v1 import invader_pb2

from conformance.both.lists import model_problems
from conformance.check import Problems, check
from conformance.invader.service import REGIONS, Invader


@check(
    "models",
    demands="Target models are listed once each, sorted by name, with number of identities, digest, and the largest k, "
    "which is at most the size of the label set; their regions, where they are stated, once each, and known ones.",
    why="A run is bound to its models, and asks for as many candidates as they promise.",
)
async def models(service: Invader) -> Problems:
    for problem in model_problems(service.models):
        yield problem
    for model in service.models:
        if not 1 <= model.max_candidates <= model.identities:
            yield f"{model.name}: expected max_candidates in 1..{model.identities}, got {model.max_candidates}"
        if len(set(model.regions)) < len(model.regions) or not set(model.regions) <= set(REGIONS):
            yield f"{model.name}: expected regions of the schema, each once, got {', '.join(map(str, model.regions))}"
        if service.listed.disclosure == invader_pb2.DISCLOSURE_TOP1 and model.max_candidates != 1:
            yield f"{model.name}: discloses the top candidate, and states max_candidates {model.max_candidates}"
