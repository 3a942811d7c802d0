"""Requests that are to be refused, each for what it is; the next is served."""

from collections.abc import Sequence

from orchestrator.conformance.check import check, fail_for
from orchestrator.conformance.invader.determinism import same
from orchestrator.conformance.invader.service import Answer, Changes, Invader
from orchestrator.conformance.pictures import all_formats, bad_images, bombs
from orchestrator.conformance.refusing import (
    LARGE_MESSAGE,
    MALFORMED,
    NOT_PARSED,
    TOO_LARGE,
    UNKNOWN_FIELD,
    Expected,
    faults,
    invalid,
    unknown_name,
)

NAMELESS = "no name of yours"
ENDLESS = "x" * 5000


async def refused(service: Invader, cases: Sequence[tuple[Expected, Changes]]) -> list[str]:
    """What is wrong with how bad requests are met, and with whether a good one is served after them: one query."""
    problems: list[str] = []
    for expected, changes in cases:
        problems += faults(expected, await service.refusal(**changes))
    return problems + await still_serves(service)


async def still_serves(service: Invader) -> list[str]:
    """What is wrong with how a good request is met now: one query."""
    got = await service.refusal()
    return [] if got is None else [f"afterwards a good request is refused: {got}"]


@check(
    "invader.bad-image",
    demands="An image that is none, or not whole, is refused with INVALID_ARGUMENT naming `image`, and the next request "
    "is served.",
    why="It is no image without a face: that would count as protected.",
    queries=8,
)
async def bad_image(service: Invader) -> None:
    images = bad_images(service.subjects[0].photo)
    fail_for(await refused(service, [(invalid(what, "image"), {"image": encoded}) for what, encoded in images]))


@check(
    "invader.formats",
    demands="JPEG (progressive, grey, CMYK, of any chroma) and PNG (grey, with a palette, of 16 bits) are all taken.",
    why="A cloak may come as any of them; one that is refused is no observation.",
    queries=9,
)
async def formats(service: Invader) -> None:
    problems = []
    for what, encoded in all_formats(service.subjects[0].photo):
        if (got := await service.refusal(image=encoded)) is not None:
            problems.append(f"{what}: {got}")
    fail_for(problems)


@check(
    "invader.limits",
    demands="Images of more pixels than can be taken, and messages of 20 MiB, are refused, and the next request is served.",
    why="A hundred bytes can promise gigabytes; a service that believes them is gone.",
    queries=5,
)
async def limits(service: Invader) -> None:
    cases: list[tuple[Expected, Changes]] = [(invalid(what, "image"), {"image": encoded}) for what, encoded in bombs()]
    cases.append((Expected("an image of 20 MiB of zeros", TOO_LARGE), {"image": LARGE_MESSAGE}))
    fail_for(await refused(service, cases))


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
                for k in (0, -1, model.most_candidates + 1, 2**31 - 1)
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
                (unknown_name("a path as target model", "target_models"), {"target_models": ["../../etc/passwd"], "k": 1}),
                (unknown_name("an endless name as target model", "target_models"), {"target_models": [ENDLESS], "k": 1}),
            ],
        )
    )


@check(
    "invader.malformed",
    demands="Bytes that are no message are refused with INVALID_ARGUMENT or INTERNAL, by every method, and the next "
    "request is served.",
    why="Anything may be sent to an open port.",
    queries=2,
)
async def malformed(service: Invader) -> None:
    problems: list[str] = []
    for method in ("Classify", "ListTargetModels", "ListIdentities"):
        got = await service.wire.refusal(method, MALFORMED, Answer)
        problems += faults(Expected(f"{method} of bytes that are no message", NOT_PARSED), got)
    fail_for(problems + await still_serves(service))


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
