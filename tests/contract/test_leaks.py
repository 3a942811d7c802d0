"""Nothing but ranked identities leaves the invader: secrets are planted in it, and looked for in all that comes out.

That the search would find them is a test of its own, which lets each of them out on every way there is.
"""

import asyncio
import itertools
import json
import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from deid.invader.v1 import invader_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from hypothesis import given
from hypothesis import strategies as st

from invader_service.audit import AuditLog
from invader_service.ledger import QueryLedger
from invader_service.rate_limit import RateLimit
from invader_service.servicer import InvaderServicer
from rpc.errors import NOT_FOUND, ServiceError
from rpc.images.decoding import encode_png
from rpc.interceptor import Context
from tests.support.canaries import Canary, found
from tests.support.drawn_faces import jpeg
from tests.support.eavesdropping import Eavesdropper, service_log
from tests.support.networks import probe
from tests.support.secretive import (
    CANARIES,
    DETECTOR_FAILS,
    FOLDER,
    MODEL,
    NETWORK_FAILS,
    FailingDetector,
    load_secretive,
    write_checkpoint,
)
from tests.support.services import INVADER, serving_invader

AT_A_TIME = 4
CLASSIFY, LIST_MODELS, LIST_IDENTITIES = (
    f"/{INVADER}/{name}" for name in ("Classify", "ListTargetModels", "ListIdentities")
)
GOOD = [encode_png(probe(side=side, seed=side)) for side in (40, 64, 90)]
BLANK = jpeg(np.full((64, 64, 3), 90, dtype=np.uint8))
RAISING = [encode_png(probe(side=side)) for side in (DETECTOR_FAILS, NETWORK_FAILS)]


@dataclass(frozen=True)
class Call:
    """One call, as bytes."""

    method: str
    request: bytes = b""
    stream: bool = False
    metadata: tuple[tuple[str, str | bytes], ...] = ()


def classify(image: bytes, *, target_models: tuple[str, ...] = (MODEL,), k: int = 3, **metadata: str) -> Call:
    request = invader_pb2.ClassifyRequest(image=image, target_models=target_models, k=k)
    pairs = tuple((key.replace("_", "-"), value) for key, value in metadata.items())
    return Call(CLASSIFY, request.SerializeToString(), metadata=pairs)


def calls(seed: int) -> Iterator[Call]:
    """Good ones and bad ones of every kind, for ever."""
    chance = random.Random(seed)
    name = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
    reflection = [
        f"/{version}.ServerReflection/ServerReflectionInfo" for version in ("grpc.reflection.v1", "grpc.reflection.v1alpha")
    ]
    questions = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=INVADER),
        reflection_pb2.ServerReflectionRequest(file_by_filename="deid/invader/v1/invader.proto"),
    ]
    kinds: list[Callable[[], Call]] = [
        lambda: classify(chance.choice(GOOD), k=chance.randint(1, 5)),
        lambda: classify(chance.choice(GOOD), k=chance.randint(1, 5)),
        lambda: classify(chance.choice(RAISING)),
        lambda: classify(chance.choice(RAISING), x_request_id=chance.choice(["abc", "two words", "x" * 200])),
        lambda: classify(BLANK),
        lambda: classify(damaged(chance.choice(GOOD), chance)),
        lambda: classify(chance.randbytes(chance.randint(0, 400))),
        lambda: classify(bytes(chance.choice([199_999, 200_001, 400_000]))),
        lambda: classify(GOOD[0], target_models=chance.choice([(), (MODEL, MODEL), ("vgg",), ("../" * 9,), ("x" * 9000,)])),
        lambda: classify(GOOD[0], k=chance.choice([-(2**31), -1, 0, 6, 2**31 - 1])),
        lambda: Call(LIST_MODELS),
        lambda: Call(
            LIST_IDENTITIES,
            invader_pb2.ListIdentitiesRequest(
                target_model=chance.choice([MODEL, MODEL, "vgg", ""]),
                page_size=chance.choice([0, 7, 10_000, -1, 10_001]),
                page_token=chance.choice(["", "7", "299", "300", "-1", "x", "9" * 5000, "٣"]),
            ).SerializeToString(),
        ),
        lambda: Call(f"/{name}/Check", chance.choice([b"", b"\x0a\x04none", b"\x0a\xff"])),
        lambda: Call(f"/{INVADER}/{chance.choice(['Weights', 'classify', '', '../Classify'])}", chance.randbytes(9)),
        lambda: Call(f"/{chance.choice(['deid.protector.v1.ProtectorService', 'x'])}/Craft", chance.randbytes(9)),
        lambda: Call(chance.choice(reflection), chance.choice(questions).SerializeToString(), stream=True),
        lambda: Call(chance.choice([CLASSIFY, LIST_MODELS, LIST_IDENTITIES]), chance.randbytes(chance.randint(1, 300))),
        lambda: Call(CLASSIFY, classify(GOOD[0]).request, stream=True),
        lambda: classify(GOOD[0], user_agent="x", grpc_timeout="1n"),
    ]
    for turn in itertools.count():
        yield kinds[turn % len(kinds)]()


def damaged(image: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(image))
    return chance.choice([image[:place], image[:place] + bytes([image[place] ^ 0xFF]) + image[place + 1 :]])


class Stepping:
    """A clock on which every look takes 30 ms."""

    def __init__(self) -> None:
        self._looks = itertools.count()

    def __call__(self) -> int:
        return next(self._looks) * 30_000_000


@pytest.mark.parametrize(
    "number", [120, pytest.param(1000, marks=pytest.mark.thorough("invader_service/", "gallery_service/", "rpc/"))]
)
async def test_calls_of_every_kind_get_nothing_out_that_is_not_theirs_to_know(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], number: int
) -> None:
    folder = tmp_path / FOLDER
    folder.mkdir()
    write_checkpoint(folder)
    detector = FailingDetector()
    policy: dict[str, Any] = {
        "ledger": QueryLedger(folder / "ledger", budget=number // 8),
        "audit_log": AuditLog(folder / "audit"),
        "rate_limit": RateLimit(30, clock=Stepping()),
    }
    with service_log() as log:
        recognizer = load_secretive(folder, detector)
        async with serving_invader({MODEL: recognizer}, detector=detector, **policy) as service:
            client = Eavesdropper(service.channel)
            await asyncio.gather(*(_ask_all(client, each) for each in _shares(number)))
    printed = capfd.readouterr()
    evidence = [*client.evidence, log.getvalue().encode(), printed.out.encode(), printed.err.encode()]
    assert found(CANARIES, evidence) == set()
    assert client.statuses.total() == number
    # What was to be seen was seen: all kinds of ends, incidents among them, and a log that tells of them.
    outcomes = {json.loads(line)["outcome"] for line in (folder / "audit").read_text().splitlines()}
    assert outcomes >= {
        "answered",
        "no face",
        "failed",
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "QUERY_BUDGET_SPENT",
    }
    assert {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED", "UNIMPLEMENTED", "INTERNAL"} <= set(client.statuses)
    events = [json.loads(line)["event"] for line in log.getvalue().splitlines()]
    assert {"refused", "incident"} <= set(events)
    assert "incident in full" not in events


async def _ask_all(client: Eavesdropper, share: list[Call]) -> None:
    for call in share:
        await client.ask(call.method, call.request, stream=call.stream, metadata=call.metadata)


def _shares(count: int) -> list[list[Call]]:
    chosen = list(itertools.islice(calls(seed=4), count))
    return [chosen[first::AT_A_TIME] for first in range(AT_A_TIME)]


# Every way out that there is; `form` is one of those in which the canary would be recognised.


async def as_an_identity(canary: Canary, answer: invader_pb2.ClassifyResponse, context: Context) -> None:
    answer.classifications[0].candidates[0].identity = f"n0001 {canary.text}"


async def as_a_model_s_name(canary: Canary, answer: invader_pb2.ClassifyResponse, context: Context) -> None:
    answer.classifications[0].target_model = canary.text


async def as_an_unknown_field(canary: Canary, answer: invader_pb2.ClassifyResponse, context: Context) -> None:
    answer.MergeFromString(b"\x7a" + bytes([len(canary.binary)]) + canary.binary)  # field 15


async def as_an_error_s_message(canary: Canary, answer: invader_pb2.ClassifyResponse, context: Context) -> None:
    raise ServiceError(f"no {canary.text}", code=grpc.StatusCode.NOT_FOUND, reason=NOT_FOUND)


async def as_an_error_s_details(canary: Canary, answer: invader_pb2.ClassifyResponse, context: Context) -> None:
    await context.abort(grpc.StatusCode.NOT_FOUND, "no", (("grpc-status-details-bin", b"\x0a\x40" + canary.binary),))


async def as_a_trailer(canary: Canary, answer: invader_pb2.ClassifyResponse, context: Context) -> None:
    context.set_trailing_metadata((("x-cause", canary.text),))


async def as_a_trailer_s_name(canary: Canary, answer: invader_pb2.ClassifyResponse, context: Context) -> None:
    context.set_trailing_metadata((("x-" + canary.text, "1"),))


async def as_a_log_line(canary: Canary, answer: invader_pb2.ClassifyResponse, context: Context) -> None:
    logging.getLogger("invader_service").info("classified", extra={"detail": canary.text})


async def as_a_traceback_in_the_log(canary: Canary, answer: invader_pb2.ClassifyResponse, context: Context) -> None:
    try:
        raise ValueError(canary.text)
    except ValueError:
        logging.getLogger("invader_service").exception("failed")


WAYS_OUT = (
    as_an_identity,
    as_a_model_s_name,
    as_an_unknown_field,
    as_an_error_s_message,
    as_an_error_s_details,
    as_a_trailer,
    as_a_trailer_s_name,
    as_a_log_line,
    as_a_traceback_in_the_log,
)


@pytest.mark.parametrize("way_out", WAYS_OUT)
async def test_the_same_search_finds_every_secret_that_is_let_out(way_out: Callable[..., Any]) -> None:
    for canary in CANARIES:

        class Leaking(InvaderServicer):
            async def Classify(  # noqa: N802
                self, request: invader_pb2.ClassifyRequest, context: Context
            ) -> invader_pb2.ClassifyResponse:
                answer = await super().Classify(request, context)
                await way_out(canary, answer, context)  # noqa: B023 - it is over before the next
                return answer

        with service_log() as log:
            async with serving_invader(kind=Leaking) as service:
                client = Eavesdropper(service.channel)
                call = classify(GOOD[0], target_models=("small",))
                await client.ask(call.method, call.request)
        assert found(CANARIES, [*client.evidence, log.getvalue().encode()]) == {canary.name}


async def test_the_same_search_finds_every_secret_that_is_let_out_as_a_header() -> None:
    for canary in CANARIES:

        class Leaking(InvaderServicer):
            async def Classify(  # noqa: N802
                self, request: invader_pb2.ClassifyRequest, context: Context
            ) -> invader_pb2.ClassifyResponse:
                self._models_digest = canary.text  # noqa: B023 - it is over before the next
                return await super().Classify(request, context)

        async with serving_invader(kind=Leaking) as service:
            client = Eavesdropper(service.channel)
            call = classify(GOOD[0], target_models=("small",))
            await client.ask(call.method, call.request)
        assert client.statuses == {"OK": 1}
        assert found(CANARIES, client.evidence) == {canary.name}


@given(st.sampled_from(CANARIES), st.binary(max_size=40), st.binary(max_size=40))
def test_a_secret_is_found_wherever_it_stands(canary: Canary, before: bytes, after: bytes) -> None:
    for form in canary.forms:
        assert canary.name in found(CANARIES, [b"", before + form + after])
    assert found(CANARIES, [before, after]) == set()
