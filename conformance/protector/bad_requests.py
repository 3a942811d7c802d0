"""Requests that a protector must refuse."""

from deid.protector.v1 import protector_pb2

from conformance.both.bad_requests import ENDLESS, PATH, UNKNOWN_NAME, refused
from conformance.check import NotApplicable, Problems, check
from conformance.images import faceless
from conformance.protector.service import CONTROL, Protector
from conformance.protector.storage import jpeg
from conformance.refusals import invalid, unknown_name
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
    demands="Epsilons outside 0..255, repeated epsilons and none at all are refused with INVALID_ARGUMENT naming "
    "`epsilons`.",
    why="A budget that is silently reduced or left out makes a cell with a wrong name.",
)
def bad_epsilons(service: Protector) -> Problems:
    method = [name for name in service.method_names if name != CONTROL][:1]
    lists = {"256": [256], "-1": [4, -1], "4 twice": [4, 8, 4], "none": []}
    return refused(
        service,
        (invalid(f"epsilons: {what}", "epsilons", methods=method, epsilons=epsilons) for what, epsilons in lists.items()),
    )


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
            *(unknown_name(f"the identity {name!r}", "identity", identity=name) for name in (UNKNOWN_NAME, "")),
        ),
    )


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
