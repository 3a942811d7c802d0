"""What leaves an invader beside its answers: nothing."""

import re

from conformance.bad_input import ENDLESS, NAMELESS, PATH
from conformance.check import check, fail_for
from conformance.invader.service import IMAGES, Answer, Changes, Invader
from conformance.refusal import Refused
from conformance.refusing import MALFORMED
from conformance.texts import unclean
from conformance.unknown_fields import unknown_fields
from conformance.wire import LIST_SECONDS
from rpc.models_digest import MODELS_DIGEST_KEY
from rpc.status import PUSHBACK_KEY, STATUS_KEY

# What gRPC, an HTTP/2 library, and the schema send beside an answer, and of which form; the status is looked at as a text.
METADATA = {
    PUSHBACK_KEY: r"-1|\d{1,12}",
    MODELS_DIGEST_KEY: r"[0-9a-f]{64}",
    "grpc-encoding": r"[a-z-]{1,20}",
    "grpc-accept-encoding": r"[a-z, -]{1,60}",
    "accept-encoding": r"[a-z, -]{1,60}",
    "content-type": r"application/grpc[a-z+]{0,12}",
    "date": r"[A-Za-z0-9,: +-]{1,40}",
    "server": r"[\w./() -]{1,60}",
}
MAX_STATUS_BYTES = 8192
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
    demands="Beside answers and errors come metadata of gRPC and of the schema, with values of their form, and no other.",
    why="Headers and trailers are looked at by nobody, and hold kilobytes.",
    queries=2,
)
async def metadata(service: Invader) -> None:
    await service.answer(service.subjects[0].photo)
    await service.refusal(k=0)
    fail_for(
        f"{key}: {value[:40]!r}, {len(value)} long"
        for key, value in sorted(service.wire.metadata, key=str)
        if not _is_foreseen(key, value)
    )


def _is_foreseen(key: str, value: str | bytes) -> bool:
    if isinstance(value, bytes):
        return key == STATUS_KEY and len(value) <= MAX_STATUS_BYTES
    return key in METADATA and re.fullmatch(METADATA[key], value) is not None


@check(
    "invader.error-texts",
    demands="No error tells a path, a traceback, a source file, an exception's or a checkpoint's name, a library's inside, "
    "an address, or numbers in a row.",
    why="Error texts reach whoever asks; what they tell of the inside helps an attacker and no client.",
    queries=8,
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
    fail_for(unclean(service.wire.refusals, sent=[NAMELESS, PATH, *service.names]))


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
