"""What an invader lists."""

from deid.invader.v1 import invader_pb2

from conformance.bad_input import bad_pages
from conformance.check import check, fail_for
from conformance.invader.service import LIST_MODELS, Invader
from conformance.label_sets import label_set_faults, model_faults, page_faults
from conformance.models_digest import models_digest_faults
from conformance.refusing import faults
from conformance.texts import stated_faults


@check(
    "invader.models",
    demands="Target models are listed sorted by name, each once, with number of identities, digest, and the largest k, "
    "which its label set has.",
    why="A run is bound to them, and asks for as many candidates as they promise.",
)
async def models(service: Invader) -> None:
    problems = list(model_faults(service.target_models))
    for model in service.target_models:
        if not 1 <= model.max_candidates <= model.identities:
            problems.append(f"{model.name}: expected max_candidates in 1..{model.identities}, got {model.max_candidates}")
        if service.listed.disclosure == invader_pb2.DISCLOSURE_TOP1 and model.max_candidates != 1:
            problems.append(f"{model.name}: discloses the top candidate, and states max_candidates {model.max_candidates}")
    fail_for(problems)


@check(
    "invader.stated",
    demands="What is said in words of extraction is one line of at most 500 characters.",
    why="Manifests and reports repeat it, so that nothing is assumed of another's method or detector.",
)
async def stated(service: Invader) -> None:
    of_models = ((f"{model.name}: extraction", model.extraction) for model in service.target_models)
    fail_for(list(stated_faults(of_models)))


@check(
    "invader.label-sets",
    demands="The identities of a target model are as many as it states, each once, and have the digest that it states.",
    why="An identity that a target model cannot answer would count as protected.",
)
async def label_sets(service: Invader) -> None:
    fail_for(await label_set_faults(service.target_models, service.identities, may_refuse=True))


@check(
    "invader.pages",
    demands="Pages of identities are as long as asked for at most, and make up the same list; other sizes and tokens are "
    "refused.",
    why="A label set of thousands comes in pages; a service that loses one excludes subjects.",
)
async def pages(service: Invader) -> None:
    problems = await page_faults(service.target_models, service.identities, may_refuse=True)
    for expected, changes in bad_pages(model_field="target_model"):
        asked = invader_pb2.ListIdentitiesRequest(**{"target_model": service.names[0], **changes})
        got = await service.wire.refusal("ListIdentities", asked, invader_pb2.ListIdentitiesResponse)
        problems += faults(expected, got)
    fail_for(problems)


@check(
    "invader.models_digest",
    demands="deid-models-digest, where it is sent, is 64 hexadecimal digits, and the same with every answer of Classify and "
    "ListTargetModels.",
    why="It is what a run notices other models by; one that changes by itself ends every run.",
    queries=2,
)
async def models_digest(service: Invader) -> None:
    for subject in service.subjects[:2]:
        await service.classify(service.request(subject.photo))
    await service.wire.ask("ListTargetModels", LIST_MODELS, invader_pb2.ListTargetModelsResponse)
    fail_for(models_digest_faults(service.wire.models_digests))
