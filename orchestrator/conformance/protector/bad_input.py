"""Requests that are to be refused, each for what it is; the next is served."""

from collections.abc import Sequence

from deid.protector.v1 import protector_pb2

from orchestrator.conformance.check import NotApplicable, check, fail_for
from orchestrator.conformance.pictures import all_formats, bad_images, bombs, faceless
from orchestrator.conformance.protector.service import Changes, Protector, Response
from orchestrator.conformance.protector.storage import jpeg
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
from orchestrator.conformance.subjects import Subject
from orchestrator.conformance.texts import unclean
from orchestrator.protocol import CONTROL
from rpc.errors import NO_FACE

NAMELESS = "no name of yours"
ENDLESS = "x" * 5000


async def refused(service: Protector, cases: Sequence[tuple[Expected, Changes]]) -> list[str]:
    """What is wrong with how bad requests are met, and with whether a good one is served after them."""
    problems: list[str] = []
    for expected, changes in cases:
        problems += faults(expected, await service.refusal(**changes))
    return problems + await still_serves(service)


async def still_serves(service: Protector) -> list[str]:
    """What is wrong with how a good request is met now."""
    got = await service.refusal(methods=[CONTROL], epsilons=[])
    return [] if got is None else [f"afterwards a good request is refused: {got}"]


def _photo(service: Protector, photo: bytes) -> Changes:
    return {"subject": Subject(service.subject.identity, photo), "methods": [CONTROL], "epsilons": []}


@check(
    "protector.bad-photo",
    demands="A photo that is none, or not whole, is refused with INVALID_ARGUMENT naming `photo`, and the next request is "
    "served.",
    why="Data sets hold broken files; a cloak of half a photo would be counted as one of the whole.",
)
async def bad_photo(service: Protector) -> None:
    fail_for(
        await refused(
            service,
            [(invalid(what, "photo"), _photo(service, encoded)) for what, encoded in bad_images(service.subject.photo)],
        )
    )


@check(
    "protector.formats",
    demands="JPEG (progressive, grey, CMYK, of any chroma) and PNG (grey, with a palette, of 16 bits) are all taken.",
    why="Data sets hold them all; a photo that is refused costs a subject.",
)
async def formats(service: Protector) -> None:
    problems = []
    for what, encoded in all_formats(service.subject.photo):
        got = await service.refusal(**_photo(service, encoded))
        if got is not None and got.reason != NO_FACE:
            problems.append(f"{what}: {got}")
    fail_for(problems)


@check(
    "protector.no-face",
    demands="A service with a face detector refuses a photo without a face with INVALID_ARGUMENT and the reason NO_FACE.",
    why="Its subject is replaced by the next one; any other error would be asked again or end the run.",
)
async def no_face(service: Protector) -> None:
    got = await service.refusal(**_photo(service, faceless()))
    if got is None:
        raise NotApplicable("it crafts on an image of one colour, as a service does that has no face detector")
    expected = invalid("an image of one colour", "photo", reason=NO_FACE)
    fail_for([*faults(expected, got), *await still_serves(service)])


@check(
    "protector.limits",
    demands="Images of more pixels than can be taken, and messages of 20 MiB, are refused, and the next request is served.",
    why="A hundred bytes can promise gigabytes; a service that believes them is gone.",
)
async def limits(service: Protector) -> None:
    cases = [(invalid(what, "photo"), _photo(service, encoded)) for what, encoded in bombs()]
    cases.append((Expected("a photo of 20 MiB of zeros", TOO_LARGE), _photo(service, LARGE_MESSAGE)))
    fail_for(await refused(service, cases))


@check(
    "protector.bad-epsilons",
    demands="Epsilons beyond 0..255, repeated or missing are refused with INVALID_ARGUMENT naming `epsilons`.",
    why="A budget that is quietly cut or left out is a cell under a wrong name.",
)
async def bad_epsilons(service: Protector) -> None:
    method = [name for name in service.method_names if name != CONTROL][:1]
    lists: dict[str, list[int]] = {"256": [256], "-1": [4, -1], "4 twice": [4, 8, 4], "none": []}
    fail_for(
        await refused(
            service,
            [
                (invalid(f"epsilons: {what}", "epsilons"), {"methods": method, "epsilons": epsilons})
                for what, epsilons in lists.items()
            ],
        )
    )


@check(
    "protector.bad-methods",
    demands="No method, and a method twice, are refused with INVALID_ARGUMENT naming `methods`; an unknown one with "
    "NOT_FOUND.",
    why="A grid whose rows were dropped in silence looks whole.",
)
async def bad_methods(service: Protector) -> None:
    fail_for(
        await refused(
            service,
            [
                (invalid("no method", "methods"), {"methods": []}),
                (invalid("a method twice", "methods"), {"methods": [CONTROL, CONTROL]}),
                (unknown_name("an unknown method", "methods"), {"methods": [CONTROL, NAMELESS]}),
            ],
        )
    )


@check(
    "protector.bad-names",
    demands="Unknown source models and identities are refused with NOT_FOUND.",
    why="An identity that the source model does not know has no loss to climb.",
)
async def bad_names(service: Protector) -> None:
    photo = service.subject.photo
    models = [NAMELESS, "", "../../etc/passwd", ENDLESS]
    cases: list[tuple[Expected, Changes]] = [
        (unknown_name(f"the source model {name[:20]!r}", "source_model"), {"model": service.model, "source_model": name})
        for name in models
    ]
    cases += [
        (unknown_name(f"the identity {name!r}", "identity"), {"subject": Subject(name, photo)}) for name in (NAMELESS, "")
    ]
    fail_for(await refused(service, cases))


@check(
    "protector.bad-storage",
    demands="No storage, and JPEG qualities beyond 1..100, are refused with INVALID_ARGUMENT naming `storage`.",
    why="Storage is an axis of the experiment: a default would put cloaks into the wrong run.",
)
async def bad_storage(service: Protector) -> None:
    storages = {"no storage": None, "no format": protector_pb2.Storage(), "quality 0": jpeg(0), "quality 101": jpeg(101)}
    fail_for(
        await refused(
            service,
            [(invalid(what, "storage"), {"methods": [CONTROL], "storage": storage}) for what, storage in storages.items()],
        )
    )


@check(
    "protector.malformed",
    demands="Bytes that are no message are refused with INVALID_ARGUMENT or INTERNAL, by every method, and the next "
    "request is served.",
    why="Anything may be sent to an open port.",
)
async def malformed(service: Protector) -> None:
    problems: list[str] = []
    for method in ("Craft", "ListSourceModels", "ListMethods", "ListIdentities"):
        got = await service.wire.refusal(method, MALFORMED, Response, streams=method == "Craft")
        problems += faults(Expected(f"{method} of bytes that are no message", NOT_PARSED), got)
    fail_for(problems + await still_serves(service))


@check(
    "protector.newer-client",
    demands="A request with a field that the schema does not have is served as without it.",
    why="The schema grows by addition: a newer client must be able to ask an older service.",
)
async def newer_client(service: Protector) -> None:
    request = service.request(methods=[CONTROL], epsilons=[])
    plain = await service.craft(request)
    extended = await service.craft(request.SerializeToString() + UNKNOWN_FIELD)
    if [each.cloak for each in plain] != [each.cloak for each in extended]:
        fail_for(["the control is another image where the request has a further field"])


@check(
    "protector.error-texts",
    demands="No error tells a path, a traceback, a source file, an exception's or a checkpoint's name, an address, or "
    "numbers in a row.",
    why="Error texts reach whoever asks; what they tell of the inside helps an attacker and no client.",
)
async def error_texts(service: Protector) -> None:
    for changes in (
        _photo(service, b"This is no image."),
        _photo(service, service.subject.photo[:100]),
        {"source_model": NAMELESS},
        {"source_model": ENDLESS},
        {"methods": [NAMELESS]},
        {"epsilons": [2**31 - 1]},
        {"storage": None},
    ):
        await service.refusal(**changes)
    await service.wire.refusal("Craft", MALFORMED, Response, streams=True)
    sent = [NAMELESS, "../../etc/passwd", *service.method_names, *(model.name for model in service.source_models)]
    fail_for(unclean(service.wire.refusals, sent=sent))
