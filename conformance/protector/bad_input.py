"""Photos and requests that are to be refused, and photos that are to be taken."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from deid.protector.v1 import protector_pb2
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
    still_serves,
)
from conformance.check import NotApplicable, check, fail_for
from conformance.pictures import Levels, all_forms, faceless
from conformance.protector.service import Protector, Response
from conformance.protector.storage import jpeg
from conformance.refusing import MALFORMED, UNKNOWN_FIELD, Expected, faults, invalid, unknown_name
from conformance.subjects import Subject
from conformance.texts import unclean
from orchestrator.experiment.grid import CONTROL
from rpc.errors import NO_FACE

METHODS: dict[str, type[Message]] = {
    "Craft": Response,
    "ListSourceModels": protector_pb2.ListSourceModelsResponse,
    "ListMethods": protector_pb2.ListMethodsResponse,
    "ListIdentities": protector_pb2.ListIdentitiesResponse,
}


@check(
    "protector.bad-photo",
    demands="A photo that is none, or not whole, is refused with INVALID_ARGUMENT naming `photo`, and the next request is "
    "served.",
    why="Data sets hold broken files; a cloak of half a photo would be counted as one of the whole.",
)
async def bad_photo(service: Protector) -> None:
    fail_for(await images_refused(service, broken(service.subject.photo, field="photo")))


@check(
    "protector.formats",
    demands="JPEG (progressive, grey, CMYK, of any chroma) and PNG (grey, with a palette, of 16 bits) are all taken. Their "
    "probe is at least twice as near to that of the same photo as an RGB PNG as to its negative, to white, and to black.",
    why="Data sets hold them all; a photo that is refused costs a subject, and one that is misread is another photo.",
)
async def formats(service: Protector) -> None:
    problems = []
    plain: dict[bytes, Levels | None] = {}
    for form in all_forms(service.subject.photo):
        if form.plain not in plain:
            plain[form.plain] = await service.probe(form.plain)
        if (got := await service.refusal_of_image(form.image)) is not None:
            problems.append(f"{form.what}: {got}")
        elif (right := plain[form.plain]) is not None:
            problems += [f"{form.what}: {fault}" for fault in _misread(await service.probe(form.image), right)]
    fail_for(problems)


def _misread(probe: Levels | None, right: Levels) -> list[str]:
    """What is wrong with a probe whose photo is the same, in another form, as that of the right one."""
    if probe is None:
        return ["no face is found in it, and one is in the same as an RGB PNG"]
    if probe.shape != right.shape:
        return ["its probe is of another size"]
    to_right = float(np.abs(probe - right).mean())
    wrong = {"white": np.full_like(right, 255), "black": np.zeros_like(right), "the negative": 255 - right}
    return [
        f"its probe is {to_right:.1f} levels on average from that of the same as an RGB PNG, {apart:.1f} from {name}"
        for name, other in wrong.items()
        if 2 * to_right > (apart := float(np.abs(probe - other).mean()))
    ]


@check(
    "protector.large-photo",
    demands="A PNG of 8 to 12 MiB and three million pixels is taken, or refused with INVALID_ARGUMENT naming `photo` by a "
    "service that takes less.",
    why="Cameras make such photos, and many libraries refuse messages of more than 4 MiB unless they are told.",
)
async def large_photo(service: Protector) -> None:
    fail_for(await not_taken(service, service.subject.photo, field="photo"))


@check(
    "protector.no-face",
    demands="A service with a face detector refuses a photo without a face with INVALID_ARGUMENT and the reason NO_FACE.",
    why="Its subject is replaced by the next one; any other error would be asked again or end the run.",
)
async def no_face(service: Protector) -> None:
    photo = Subject(service.subject.identity, faceless())
    got = await service.refusal(subject=photo, methods=[CONTROL], epsilons=[])
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
    fail_for(await images_refused(service, beyond_limits(field="photo")))


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
    cases: list[tuple[Expected, Mapping[str, Any]]] = [
        (unknown_name(f"the source model {name[:20]!r}", "source_model"), {"model": service.model, "source_model": name})
        for name in (NAMELESS, "", PATH, ENDLESS)
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
    demands="Bytes that are no message are refused with INVALID_ARGUMENT, INTERNAL or UNKNOWN, by every method, and the "
    "next request is served.",
    why="Anything may be sent to an open port.",
)
async def malformed(service: Protector) -> None:
    fail_for(await malformed_taken(service, METHODS, streams="Craft"))


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
    demands="No error tells a path, a traceback, a source file, an exception's or a checkpoint's name, a library's inside, "
    "an address, or numbers in a row.",
    why="Error texts reach whoever asks; what they tell of the inside helps an attacker and no client.",
)
async def error_texts(service: Protector) -> None:
    for image in (b"This is no image.", service.subject.photo[:100]):
        await service.refusal_of_image(image)
    for changes in (
        {"source_model": NAMELESS},
        {"source_model": ENDLESS},
        {"methods": [NAMELESS]},
        {"epsilons": [2**31 - 1]},
        {"storage": None},
    ):
        await service.refusal(**changes)
    await service.wire.refusal("Craft", MALFORMED, Response, streams=True)
    listed = [*service.method_names, *(model.name for model in service.source_models)]
    fail_for(unclean(service.wire.refusals, sent=[NAMELESS, PATH, service.subject.identity, *listed]))
