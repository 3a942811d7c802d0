"""What a protector lists."""

from itertools import chain

from deid.protector.v1 import protector_pb2

from conformance.bad_input import bad_pages
from conformance.check import check, fail_for
from conformance.label_sets import is_digest, label_set_faults, list_faults, model_faults, page_faults
from conformance.models_digest import models_digest_faults
from conformance.protector.service import Protector
from conformance.refusing import faults
from conformance.texts import stated_faults
from orchestrator.experiment.grid import CONTROL, NOISE

STATED_OF_METHODS = ("step_size", "steps", "start")


@check(
    "protector.models",
    demands="Source models are listed sorted by name, each once, with input size, number of identities and digests.",
    why="A run is bound to them: a list that is not told apart from another lets it go on with other models.",
)
async def models(service: Protector) -> None:
    problems = list(model_faults(service.source_models))
    for model in service.source_models:
        if model.input_size < 1:
            problems.append(f"{model.name}: expected an input size in pixels, got {model.input_size}")
        if model.checkpoint_sha256 and not is_digest(model.checkpoint_sha256):
            problems.append(f"{model.name}: expected checkpoint_sha256 in 64 lower-case hexadecimal digits")
    fail_for(problems)


@check(
    "protector.methods",
    demands="Methods are listed sorted by name, each once; none and noise are there, marked as controls.",
    why="What a cloak does is told from what any image, and any noise, meets on the same path.",
)
async def methods(service: Protector) -> None:
    problems = list(list_faults(service.methods))
    controls = [method.name for method in service.methods if method.control]
    problems += [f"expected {name} to be listed as a control" for name in (CONTROL, NOISE) if name not in controls]
    fail_for(problems)


@check(
    "protector.stated",
    demands="What is said in words of methods and of extraction is one line of at most 500 characters each.",
    why="Manifests and reports repeat it, so that nothing is assumed of another's method or detector.",
)
async def stated(service: Protector) -> None:
    of_models = ((f"{model.name}: extraction", model.extraction) for model in service.source_models)
    of_methods = (
        (f"{method.name}: {name}", getattr(method, name)) for method in service.methods for name in STATED_OF_METHODS
    )
    fail_for(list(stated_faults(chain(of_models, of_methods))))


@check(
    "protector.label-sets",
    demands="The identities of a source model are as many as it states, each once, and have the digest that it states.",
    why="Subjects are drawn from the people whom all models know; two services compare label sets by their digests.",
)
async def label_sets(service: Protector) -> None:
    fail_for(await label_set_faults(service.source_models, service.identities, may_refuse=False))


@check(
    "protector.pages",
    demands="Pages of identities are as long as asked for at most, and make up the same list; other sizes and tokens are "
    "refused.",
    why="A label set of thousands comes in pages; a service that loses one excludes subjects.",
)
async def pages(service: Protector) -> None:
    problems = await page_faults(service.source_models, service.identities, may_refuse=False)
    for expected, changes in bad_pages(model_field="source_model"):
        asked = protector_pb2.ListIdentitiesRequest(**{"source_model": service.model, **changes})
        got = await service.wire.refusal("ListIdentities", asked, protector_pb2.ListIdentitiesResponse)
        problems += faults(expected, got)
    fail_for(problems)


@check(
    "protector.models_digest",
    demands="deid-models-digest, where it is sent, is 64 hexadecimal digits, and the same with every answer of Craft and "
    "ListSourceModels.",
    why="It is what a run notices other models by; one that changes by itself ends every run.",
)
async def models_digest(service: Protector) -> None:
    for subject in service.subjects[service.model]:
        await service.craft(service.request(subject=subject, methods=[CONTROL], epsilons=[]))
    await service.wire.ask(
        "ListSourceModels", protector_pb2.ListSourceModelsRequest(), protector_pb2.ListSourceModelsResponse
    )
    fail_for(models_digest_faults(service.wire.models_digests))
