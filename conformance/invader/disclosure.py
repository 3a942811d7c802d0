"""Leaks beside the answers of an invader."""

import re

from conformance.check import Problems, check
from conformance.client import LIST_SECONDS
from conformance.invader.service import IMAGES, Invader
from conformance.refusals import Refused
from conformance.unknown_fields import unknown_fields
from rpc.models_digest import MODELS_DIGEST_KEY
from rpc.status import PUSHBACK_KEY, STATUS_KEY

# What gRPC, an HTTP/2 library, and the schema send beside an answer, and its form; the status is checked with error texts.
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
    "fields",
    demands="Answers contain the schema's fields and no others.",
    why="A field that the schema does not have is the widest leak: it can hold an embedding, and no client notices.",
    queries=IMAGES + 1,
)
async def fields(service: Invader) -> Problems:
    for subject in service.subjects:
        await service.answer(image=subject.photo)
    for problem in dict.fromkeys(each for answer in service.client.answers for each in unknown_fields(answer)):
        yield problem


@check(
    "metadata",
    demands="The metadata of answers and errors are gRPC's and the schema's, with values of the expected form, and no "
    "others.",
    why="Nobody looks at headers and trailers, and they hold kilobytes.",
    queries=2,
)
async def metadata(service: Invader) -> Problems:
    await service.answer()
    await service.refusal(k=0)
    for key, value in sorted(service.client.metadata, key=str):
        if not _is_expected(key, value):
            yield f"unexpected metadata {key}: {value[:40]!r}, {len(value)} long"


def _is_expected(key: str, value: str | bytes) -> bool:
    if isinstance(value, bytes):
        return key == STATUS_KEY and len(value) <= MAX_STATUS_BYTES
    return key in METADATA and re.fullmatch(METADATA[key], value) is not None


@check(
    "other-methods",
    demands="Reflection, channelz, the protector's service, and methods that the schema does not have, are UNIMPLEMENTED.",
    why="An invader answers three methods, and four of GalleryService if it enrols; every other method that its port "
    "answers is another way in.",
)
async def other_methods(service: Invader) -> Problems:
    for path, request in OTHER_METHODS.items():
        name, _, method = path.partition("/")
        try:
            calls = service.client.bytes_of(method, request, seconds=LIST_SECONDS, service=name, streams=True)
            yield f"{path}: expected UNIMPLEMENTED, got {len([each async for each in calls])} answers"
        except Refused as refused:
            if refused.refusal.code.name != "UNIMPLEMENTED":
                yield f"{path}: expected UNIMPLEMENTED, got {refused.refusal}"
