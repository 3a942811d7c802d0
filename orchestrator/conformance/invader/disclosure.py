"""What leaves an invader beside its answers: nothing."""

from orchestrator.conformance.check import check, fail_for
from orchestrator.conformance.invader.bad_input import ENDLESS, NAMELESS
from orchestrator.conformance.invader.service import IMAGES, Answer, Changes, Invader
from orchestrator.conformance.refusal import Refused
from orchestrator.conformance.refusing import MALFORMED
from orchestrator.conformance.texts import unclean
from orchestrator.conformance.unknown_fields import unknown_fields
from orchestrator.conformance.wire import LIST_SECONDS

# What gRPC, a proxy before the service, tracing, and the bench's own services send beside an answer.
METADATA = frozenset(
    {
        "grpc-status-details-bin",
        "grpc-retry-pushback-ms",
        "grpc-encoding",
        "grpc-accept-encoding",
        "accept-encoding",
        "content-type",
        "date",
        "server",
        "via",
        "trailer",
        "x-envoy-upstream-service-time",
        "x-request-id",
        "traceparent",
        "tracestate",
        "deid-offer",
    }
)
OTHER_METHODS = {
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo": b"\x3a\x00",
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": b"\x3a\x00",  # list_services
    "grpc.channelz.v1.Channelz/GetServers": b"",
    "deid.protector.v1.ProtectorService/ListSourceModels": b"",
    "deid.invader.v1.InvaderService/Weights": b"",
}


@check(
    "invader.fields",
    demands="Answers hold the schema's fields and no other.",
    why="A field that the schema does not have is the widest way out: it can hold an embedding, and no client notices.",
    queries=IMAGES + 1,
)
async def fields(service: Invader) -> None:
    for subject in service.subjects:
        await service.answer(subject.photo)
    problems = dict.fromkeys(fault for answer in [service.listed, *service.wire.answers] for fault in unknown_fields(answer))
    fail_for(problems)


@check(
    "invader.metadata",
    demands="Beside answers and errors come metadata of gRPC and of the schema, and no other.",
    why="Headers and trailers are looked at by nobody, and hold kilobytes.",
    queries=IMAGES + 1,
)
async def metadata(service: Invader) -> None:
    await service.answer(service.subjects[0].photo)
    await service.refusal(k=0)
    fail_for(
        f"{key}: {value[:40]!r}, {len(value)} long"
        for key, value in sorted(service.wire.metadata, key=str)
        if key not in METADATA
    )


@check(
    "invader.error-texts",
    demands="No error tells a path, a traceback, a source file, an exception's or a checkpoint's name, an address, or "
    "numbers in a row.",
    why="Error texts reach whoever asks; what they tell of the inside helps an attacker and no client.",
    queries=7,
)
async def error_texts(service: Invader) -> None:
    bad: tuple[Changes, ...] = (
        {"image": b"This is no image."},
        {"image": service.subjects[0].photo[:100]},
        {"k": -1},
        {"k": 2**31 - 1},
        {"target_models": [NAMELESS], "k": 1},
        {"target_models": [ENDLESS], "k": 1},
        {"target_models": []},
    )
    for changes in bad:
        await service.refusal(**changes)
    await service.wire.refusal("Classify", MALFORMED, Answer)
    fail_for(unclean(service.wire.refusals, sent=[NAMELESS, "../../etc/passwd", *service.names]))


@check(
    "invader.other-methods",
    demands="Reflection, channelz, the protector's service and methods that the schema does not have are UNIMPLEMENTED.",
    why="An invader answers three questions; every other that its port answers is another way in.",
)
async def other_methods(service: Invader) -> None:
    problems = []
    for path, request in OTHER_METHODS.items():
        name, _, method = path.partition("/")
        try:
            calls = service.wire.bytes_of(method, request, seconds=LIST_SECONDS, streams=True, service=name)
            answers = [each async for each in calls]
            problems.append(f"{path}: expected UNIMPLEMENTED, got {len(answers)} answers")
        except Refused as refused:
            if refused.refusal.code.name != "UNIMPLEMENTED":
                problems.append(f"{path}: expected UNIMPLEMENTED, got {refused.refusal}")
    fail_for(problems)
