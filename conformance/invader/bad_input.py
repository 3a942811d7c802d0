"""Images and requests that are to be refused, each for what it is; the next is served."""

from deid.invader.v1 import invader_pb2
from google.protobuf.message import Message

from conformance.bad_input import (
    ENDLESS,
    NAMELESS,
    PATH,
    beyond_limits,
    broken,
    images_refused,
    malformed_taken,
    not_taken,
    refused,
)
from conformance.check import check, fail_for
from conformance.invader.determinism import same
from conformance.invader.service import Answer, Invader
from conformance.refusing import UNKNOWN_FIELD, invalid, unknown_name

METHODS: dict[str, type[Message]] = {
    "Classify": Answer,
    "ListTargetModels": invader_pb2.ListTargetModelsResponse,
    "ListIdentities": invader_pb2.ListIdentitiesResponse,
}


@check(
    "invader.bad-image",
    demands="An image that is none, or not whole, is refused with INVALID_ARGUMENT naming `image`, and the next request "
    "is served.",
    why="It is no image without a face: that would count as protected.",
    queries=8,
)
async def bad_image(service: Invader) -> None:
    fail_for(await images_refused(service, broken(service.subjects[0].photo, field="image")))


@check(
    "invader.large-image",
    demands="A PNG of 8 to 12 MiB and three million pixels is answered, or refused with INVALID_ARGUMENT naming `image` by "
    "a service that takes less.",
    why="Cloaks may be large, and many libraries refuse messages of more than 4 MiB unless they are told.",
    queries=1,
)
async def large_image(service: Invader) -> None:
    fail_for(await not_taken(service, service.subjects[0].photo, field="image"))


@check(
    "invader.limits",
    demands="Images of more pixels than can be taken, and messages of 20 MiB, are refused, and the next request is served.",
    why="A hundred bytes can promise gigabytes; a service that believes them is gone.",
    queries=5,
)
async def limits(service: Invader) -> None:
    fail_for(await images_refused(service, beyond_limits(field="image")))


@check(
    "invader.bad-k",
    demands="A k below 1, or above what a target model states, is refused with INVALID_ARGUMENT naming `k`.",
    why="An answer that is quietly shorter than asked for makes identities look protected.",
    queries=5,
)
async def bad_k(service: Invader) -> None:
    model = service.target_models[0]
    fail_for(
        await refused(
            service,
            [
                (invalid(f"k {k}", "k"), {"target_models": [model.name], "k": k})
                for k in (0, -1, model.max_candidates + 1, 2**31 - 1)
            ],
        )
    )


@check(
    "invader.bad-models",
    demands="No target model, and one twice, are refused with INVALID_ARGUMENT naming `target_models`; an unknown one "
    "with NOT_FOUND.",
    why="An answer without the model that was asked is an observation that nobody made.",
    queries=7,
)
async def bad_models(service: Invader) -> None:
    first = service.names[0]
    fail_for(
        await refused(
            service,
            [
                (invalid("no target model", "target_models"), {"target_models": []}),
                (invalid("a target model twice", "target_models"), {"target_models": [first, first], "k": 1}),
                (unknown_name("an unknown target model", "target_models"), {"target_models": [NAMELESS], "k": 1}),
                (
                    unknown_name("a known and an unknown target model", "target_models"),
                    {"target_models": [first, NAMELESS], "k": 1},
                ),
                (unknown_name("a path as target model", "target_models"), {"target_models": [PATH], "k": 1}),
                (unknown_name("an endless name as target model", "target_models"), {"target_models": [ENDLESS], "k": 1}),
            ],
        )
    )


@check(
    "invader.malformed",
    demands="Bytes that are no message are refused with INVALID_ARGUMENT, INTERNAL or UNKNOWN, by every method, and the "
    "next request is served.",
    why="Anything may be sent to an open port.",
    queries=2,
)
async def malformed(service: Invader) -> None:
    fail_for(await malformed_taken(service, METHODS))


@check(
    "invader.newer-client",
    demands="A request with a field that the schema does not have is answered as without it.",
    why="The schema grows by addition: a newer client must be able to ask an older service.",
    queries=2,
)
async def newer_client(service: Invader) -> None:
    extended = await service.classify(service.request().SerializeToString() + UNKNOWN_FIELD)
    if not same(await service.answer(service.subjects[0].photo), extended):
        fail_for(["the answer is another where the request has a further field"])
