"""Requests that a protector must refuse."""

import grpc
from deid.protector.v1 import protector_pb2

from conformance.both.bad_requests import ENDLESS, PATH, UNKNOWN_NAME, refused
from conformance.check import NotApplicable, Problems, check
from conformance.images import faceless
from conformance.protector.methods import CONTROL
from conformance.protector.service import Protector, by_budget
from conformance.protector.storage import jpeg
from conformance.refusals import BadRequest, Refused, invalid, unknown_name
from rpc.errors import NO_FACE


@check(
    "no-face",
    demands="A service with a face detector refuses a photo without a face with INVALID_ARGUMENT and the reason NO_FACE.",
    why="The subject is then replaced by the next one; any other error would be retried, or would end the run.",
)
async def no_face(service: Protector) -> Problems:
    bad = invalid("an image of one colour", "photo", reason=NO_FACE, photo=faceless(), **service.cheap)
    if await service.refusal(**bad.changes) is None:
        raise NotApplicable("it crafts a cloak of an image of one colour, as a service without a face detector does")
    async for problem in refused(service, [bad]):
        yield problem


@check(
    "bad-epsilons",
    demands="Epsilons outside 0..255, repeated epsilons, and none at all where a method needs one, are refused with "
    "INVALID_ARGUMENT naming `epsilons`; likewise those whose costs are asked for, of which there may be none.",
    why="A budget that is silently reduced or left out makes a cell with a wrong name.",
)
async def bad_epsilons(service: Protector) -> Problems:
    method = [name for name in service.method_names if service.budgets(name, [4]) == [4]][:1]
    lists = {"256": [256], "-1": [4, -1], "4 twice": [4, 8, 4]}
    for what, epsilons in lists.items():
        bad = invalid(f"the costs of {what}", "epsilons", epsilons=epsilons)
        request = service.client.message("ListMethods", **bad.changes)
        for problem in bad.problems(await service.client.refusal("ListMethods", request)):
            yield problem
    requests = (
        invalid(f"epsilons: {what}", "epsilons", methods=method, epsilons=epsilons)
        for what, epsilons in {**lists, "none": []}.items()
    )
    async for problem in refused(service, requests):
        yield problem


@check(
    "bad-methods",
    demands="A request without a method, or with a repeated one, is refused with INVALID_ARGUMENT naming `methods`; one "
    "with an unknown method with NOT_FOUND.",
    why="A grid whose rows were silently dropped looks complete.",
)
def bad_methods(service: Protector) -> Problems:
    return refused(
        service,
        (
            invalid("no method", "methods", methods=[]),
            invalid("a method twice", "methods", methods=[CONTROL, CONTROL]),
            unknown_name("an unknown method", "methods", methods=[CONTROL, UNKNOWN_NAME]),
        ),
    )


@check(
    "bad-names",
    demands="Unknown source models and unknown identities are refused with NOT_FOUND.",
    why="For an identity that the source model does not know there is no loss to increase.",
)
def bad_names(service: Protector) -> Problems:
    models = (UNKNOWN_NAME, "", PATH, ENDLESS)
    return refused(
        service,
        (
            *(unknown_name(f"the source model {name[:20]!r}", "source_model", source_model=name) for name in models),
            unknown_name(f"the identity {UNKNOWN_NAME!r}", "identity", identity=UNKNOWN_NAME),
        ),
    )


@check(
    "no-identity",
    demands="Without an identity, methods that need no label set are answered, the controls with the same bytes as with "
    "one, and any other is refused with NOT_FOUND or INVALID_ARGUMENT naming `identity`.",
    why="A stranger has no identity that a source model knows; for a method that needs one there is no loss to increase.",
)
async def no_identity(service: Protector) -> Problems:
    needing = service.needing_label_set
    others = [name for name in service.method_names if name not in needing]
    before = by_budget(await service.answers(methods=others, epsilons=[4]))
    try:
        row = by_budget(await service.answers(identity="", methods=others, epsilons=[4]))
    except Refused as got:
        yield f"{', '.join(others)}: {got}"
    else:
        for name, epsilon in before:
            if name in service.controls and (
                (name, epsilon) not in row or row[name, epsilon].cloak != before[name, epsilon].cloak
            ):
                yield f"{name}: expected the same as with an identity, got another"
    codes = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT)
    bad = (BadRequest(name, codes, {"identity": "", "methods": [name], "epsilons": [4]}, "identity") for name in needing)
    async for problem in refused(service, bad):
        yield problem


@check(
    "bad-storage",
    demands="A request without storage, or with a JPEG quality outside 1..100, is refused with INVALID_ARGUMENT naming "
    "`storage`.",
    why="Storage is an axis of the experiment: a default would put cloaks into the wrong run.",
)
def bad_storage(service: Protector) -> Problems:
    storages = {"no storage": None, "no format": protector_pb2.Storage(), "quality 0": jpeg(0), "quality 101": jpeg(101)}
    return refused(
        service,
        (invalid(what, "storage", methods=[CONTROL], storage=storage) for what, storage in storages.items()),
    )
