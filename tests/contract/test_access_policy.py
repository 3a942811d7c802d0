"""What the invader holds queries against, over real channels: disclosure, budget, rate, time, audit log."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from deid.invader.v1 import invader_pb2, invader_pb2_grpc
from numpy.typing import NDArray

from invader_service.audit import AuditError, AuditLog
from invader_service.disclosure import Disclosure
from invader_service.ledger import QueryLedger
from invader_service.rate_limit import RateLimit
from orchestrator.errors import ServiceGoneError
from orchestrator.services.invader import Classification, InvaderClient
from orchestrator.services.recovery import RecoveryGate
from orchestrator.services.retries import RetryPolicy
from recognizers.extraction import Face
from rpc.certificates import Authority
from rpc.channel import open_channel
from rpc.errors import RATE_LIMITED, ServiceError
from rpc.status import ReceivedError, received
from rpc.tls import LOOPBACK_CLIENT
from tests.support.certificates import material
from tests.support.drawn_faces import jpeg
from tests.support.networks import probe
from tests.support.services import CentreDetector, serving_invader

IMAGE = jpeg(probe(side=64))
BLANK = jpeg(np.full((64, 64, 3), 90, dtype=np.uint8))
SPENT = "QUERY_BUDGET_SPENT"


async def classify(channel: grpc.aio.Channel, **changes: Any) -> invader_pb2.ClassifyResponse:
    fields: dict[str, Any] = {"image": IMAGE, "target_models": ["small"], "k": 1}
    stub = invader_pb2_grpc.InvaderServiceStub(channel)
    return await stub.Classify(invader_pb2.ClassifyRequest(**(fields | changes)), timeout=60)


async def refusal(channel: grpc.aio.Channel, **changes: Any) -> ReceivedError:
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await classify(channel, **changes)
    return received(failure.value)


async def listed(channel: grpc.aio.Channel) -> invader_pb2.ListTargetModelsResponse:
    return await invader_pb2_grpc.InvaderServiceStub(channel).ListTargetModels(invader_pb2.ListTargetModelsRequest())


def outcomes(path: Path) -> list[str]:
    return [json.loads(line)["outcome"] for line in path.read_text().splitlines()]


# Disclosure


async def test_an_invader_that_discloses_the_top_candidate_refuses_to_name_two() -> None:
    async with serving_invader(disclosure=Disclosure.TOP1) as service:
        answer = await classify(service.channel, target_models=["small", "large"])
        told = await refusal(service.channel, k=2)
        models = await listed(service.channel)
    assert [len(each.candidates) for each in answer.classifications] == [1, 1]
    assert {candidate.probability for each in answer.classifications for candidate in each.candidates} == {0}
    assert (told.code, told.message) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "k: expected 1..1 candidates of small, got 2",
    )
    assert [model.max_candidates for model in models.target_models] == [1, 1]
    assert models.disclosure == invader_pb2.DISCLOSURE_TOP1


async def test_a_ranking_is_the_same_with_and_without_probabilities() -> None:
    async with serving_invader(disclosure=Disclosure.RANKED) as service:
        ranked = await classify(service.channel, k=5)
        assert (await listed(service.channel)).disclosure == invader_pb2.DISCLOSURE_RANKED
    async with serving_invader(disclosure=Disclosure.PROBABILITIES) as service:
        whole = await classify(service.channel, k=5)
        assert (await listed(service.channel)).disclosure == invader_pb2.DISCLOSURE_PROBABILITIES
    assert all(candidate.probability > 0 for candidate in whole.classifications[0].candidates)
    for candidate in whole.classifications[0].candidates:
        candidate.probability = 0
    assert ranked == whole


# Budget


@dataclass(frozen=True)
class Secured:
    """An invader by mutual TLS, and who may ask it."""

    address: str
    authority: Authority

    @asynccontextmanager
    async def channel_of(self, client: str) -> AsyncIterator[grpc.aio.Channel]:
        async with open_channel(self.address, tls=material(self.authority, client)) as channel:
            yield channel


@asynccontextmanager
async def secured(**policy: Any) -> AsyncIterator[Secured]:
    authority = Authority.create()
    async with serving_invader(tls=material(authority, "invader", server=True), **policy) as service:
        yield Secured(service.address, authority)


async def test_the_101st_of_100_queries_is_refused_for_good_and_another_client_is_not_affected(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    policy: dict[str, Any] = {"ledger": QueryLedger(None, budget=100), "audit_log": AuditLog(log)}
    async with secured(**policy) as service:
        async with service.channel_of("ada") as ada:
            left = [(await classify(ada)).queries_left for _ in range(100)]
            told = await refusal(ada)
        async with service.channel_of("ada") as again:
            assert (await refusal(again)).reason == SPENT, "another connection is no other client"
        async with service.channel_of("bob") as bob:
            assert (await classify(bob)).queries_left == 99
    assert left == list(range(99, -1, -1))
    assert told == ReceivedError(
        grpc.StatusCode.RESOURCE_EXHAUSTED, SPENT, "the budget of 100 queries is spent", retry_after_ms=-1
    )
    assert outcomes(log) == ["answered"] * 100 + [SPENT] * 2 + ["answered"], "the channel did not ask again by itself"


async def test_the_audit_log_names_clients_by_their_certificates(tmp_path: Path) -> None:
    async with secured(audit_log=AuditLog(tmp_path / "log")) as service:
        for client in ("ada", "bob"):
            async with service.channel_of(client) as channel:
                await classify(channel)
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["client"] for line in lines] == ["ada", "bob"]


async def test_a_client_cannot_call_itself_by_another_s_name() -> None:
    async with secured(ledger=QueryLedger(None, budget=1)) as service, service.channel_of("ada") as channel:
        await classify(channel)
        stub = invader_pb2_grpc.InvaderServiceStub(channel)
        request = invader_pb2.ClassifyRequest(image=IMAGE, target_models=["small"], k=1)
        names = (("x509_common_name", "bob"), ("x-forwarded-for", "bob"), ("x-request-id", "bob"), ("user-agent", "bob"))
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await stub.Classify(request, metadata=names)
    assert received(failure.value).reason == SPENT


async def test_clients_in_plain_text_share_one_budget() -> None:
    async with serving_invader(ledger=QueryLedger(None, budget=2)) as service:
        for expected in (1, 0):
            async with open_channel(service.address) as channel:
                assert (await classify(channel)).queries_left == expected
        assert (await refusal(service.channel)).reason == SPENT


FREE: Sequence[dict[str, Any]] = (
    {"k": 0},
    {"k": 6},
    {"target_models": []},
    {"target_models": ["small", "small"]},
    {"target_models": ["vgg"]},
    {"image": b""},
    {"image": b"nothing"},
    {"image": IMAGE[:300]},
    {"image": jpeg(probe(side=66))},  # the detector fails
)


class FailsAt66(CentreDetector):
    """Fails for photos of 66 pixels."""

    def detect(self, photo: NDArray[np.uint8]) -> Sequence[Face]:
        if len(photo) == 66:
            raise RuntimeError("a bug")
        return super().detect(photo)


async def test_what_is_not_answered_costs_nothing_and_what_is_costs_one_query() -> None:
    async with serving_invader(detector=FailsAt66(), ledger=QueryLedger(None, budget=10)) as service:
        for changes in FREE:
            await refusal(service.channel, **changes)
        assert (await listed(service.channel)).queries_left == 10
        assert (await classify(service.channel, target_models=["small", "large"])).queries_left == 9
        no_face = await classify(service.channel, image=BLANK)
    assert (no_face.face_found, no_face.queries_left) == (False, 8)


async def test_with_a_spent_budget_bad_requests_are_still_refused_for_what_they_are() -> None:
    async with serving_invader(ledger=QueryLedger(None, budget=1)) as service:
        await classify(service.channel)
        assert (await refusal(service.channel, k=0)).reason == "INVALID_ARGUMENT"
        models = await listed(service.channel)
        assert len(models.target_models) == 2, "lists are no queries"
    assert models.queries_left == 0


async def test_without_a_budget_no_number_is_told() -> None:
    async with serving_invader() as service:
        assert not (await classify(service.channel)).HasField("queries_left")
        assert not (await listed(service.channel)).HasField("queries_left")


async def test_queries_at_the_same_time_cannot_overspend() -> None:
    async with serving_invader(ledger=QueryLedger(None, budget=5)) as service:
        answers = await asyncio.gather(*(classify(service.channel) for _ in range(12)), return_exceptions=True)
    answered = [answer for answer in answers if isinstance(answer, invader_pb2.ClassifyResponse)]
    refused = [received(answer).reason for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
    assert len(answered) == 5
    assert refused == [SPENT] * 7
    assert min(answer.queries_left for answer in answered) == 0


class Held(CentreDetector):
    """Keeps everybody waiting until it is let go."""

    def __init__(self) -> None:
        self.entered, self.opened = threading.Event(), threading.Event()

    def detect(self, photo: NDArray[np.uint8]) -> Sequence[Face]:
        self.entered.set()
        self.opened.wait()
        return super().detect(photo)


class Noticed(AuditLog):
    """Lets a test wait until a query has ended."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.ended = asyncio.Event()

    @contextmanager
    def query(self, client: str, request: invader_pb2.ClassifyRequest) -> Iterator[Callable[[str], None]]:
        try:
            with super().query(client, request) as write_line:
                yield write_line
        finally:
            self.ended.set()


async def test_a_client_that_leaves_before_it_is_answered_has_had_its_query(tmp_path: Path) -> None:
    held, log = Held(), Noticed(tmp_path / "log")
    async with serving_invader(detector=held, ledger=QueryLedger(None, budget=2), audit_log=log) as service:
        leaving = asyncio.create_task(classify(service.channel))
        await asyncio.to_thread(held.entered.wait)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        await log.ended.wait()
        held.opened.set()
        assert (await classify(service.channel)).queries_left == 0
    assert outcomes(tmp_path / "log") == ["client left", "answered"]


# Time


async def test_a_query_that_takes_too_long_is_told_so_and_is_free(tmp_path: Path) -> None:
    held, log = Held(), tmp_path / "log"
    policy: dict[str, Any] = {"ledger": QueryLedger(None, budget=2), "audit_log": AuditLog(log), "max_seconds": 0.05}
    async with serving_invader(detector=held, **policy) as service:
        try:
            told = await refusal(service.channel)
        finally:
            held.opened.set()
        assert (await listed(service.channel)).queries_left == 2
    assert told == ReceivedError(
        grpc.StatusCode.DEADLINE_EXCEEDED,
        "TOO_SLOW",
        "the request took more than the 0.05 s that this service allows one",
    )
    assert outcomes(log) == ["TOO_SLOW"]


# Rate


@dataclass
class Clock:
    """Nanoseconds, wound on by a test."""

    now: int = 10**15

    def __call__(self) -> int:
        return self.now


async def test_who_asks_too_often_is_told_when_to_come_back_and_is_answered_then() -> None:
    clock = Clock()
    policy: dict[str, Any] = {"rate_limit": RateLimit(2, clock=clock), "ledger": QueryLedger(None, budget=9)}
    async with serving_invader(**policy) as service:
        for _ in range(2):
            await classify(service.channel)
        told = await refusal(service.channel)
        assert told.retry_after_ms is not None
        clock.now += told.retry_after_ms * 10**6
        assert (await classify(service.channel)).queries_left == 6, "what was refused is free"
    assert told == ReceivedError(
        grpc.StatusCode.RESOURCE_EXHAUSTED, RATE_LIMITED, "at most 2 queries a second", retry_after_ms=500
    )


async def test_requests_that_ask_for_nothing_possible_count_for_the_rate_too(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    async with serving_invader(rate_limit=RateLimit(1, clock=Clock()), audit_log=AuditLog(path)) as service:
        told = [(await refusal(service.channel, k=0)).reason for _ in range(3)]
    assert told == ["INVALID_ARGUMENT", "RATE_LIMITED", "RATE_LIMITED"]
    assert outcomes(path) == ["INVALID_ARGUMENT"], "what comes too often does not fill the disk"


class SlowToLetIn(RateLimit):
    """Says so many times that it was asked too early."""

    def __init__(self, times: int) -> None:
        self.refused = 0
        self._times = times

    async def admit(self, client: str) -> None:
        if self.refused < self._times:
            self.refused += 1
            raise ServiceError("too early", code=grpc.StatusCode.RESOURCE_EXHAUSTED, reason=RATE_LIMITED, retry_after_ms=1)


Ask = Callable[[], Awaitable[dict[str, Classification] | None]]


@asynccontextmanager
async def asking(
    address: str, *, outage_timeout: float = 60, note: Callable[[str], None] = lambda _: None
) -> AsyncIterator[Ask]:
    """A question to an invader, as a run asks it."""
    client = InvaderClient(address)
    gate = RecoveryGate(client.name, check=partial(client.check_unchanged, {}), outage_timeout=outage_timeout, note=note)
    retries = RetryPolicy(gate, outage_timeout=outage_timeout, note=note)
    yield lambda: retries.call(lambda: client.classify(IMAGE, target_models=["small"], k=3))
    await client.close()


async def test_the_orchestrator_waits_until_it_may_ask_again() -> None:
    limit = SlowToLetIn(12)
    async with serving_invader(rate_limit=limit) as service, asking(service.address) as ask:
        answer = await ask()
    assert limit.refused == 12
    assert answer is not None
    assert len(answer["small"].candidates) == 3


async def test_an_invader_that_lets_nothing_through_is_told_of_once_and_gone_when_the_timeout_ends() -> None:
    limit, notes = SlowToLetIn(10**9), list[str]()
    async with (
        serving_invader(rate_limit=limit) as service,
        asking(service.address, outage_timeout=0.3, note=notes.append) as ask,
    ):
        answers = await asyncio.gather(*(ask() for _ in range(8)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {ServiceGoneError}
    assert str(answers[0]).startswith(f"invader at {service.address}: too early; it has let nothing through since ")
    assert notes == [
        f"invader at {service.address}: too early; asking again when it says, for up to 0.3 s in which it answers nothing"
    ]


async def test_who_asks_all_at_once_is_answered_by_an_invader_that_lets_one_through_now_and_then() -> None:
    timeout = 1.0
    async with serving_invader(rate_limit=RateLimit(5)) as service, asking(service.address, outage_timeout=timeout) as ask:
        began = time.monotonic()
        answers = await asyncio.gather(*(ask() for _ in range(15)))
    assert time.monotonic() - began > timeout
    assert all(answer is not None for answer in answers)


async def test_the_orchestrator_knows_what_is_left_of_its_budget() -> None:
    async with serving_invader(ledger=QueryLedger(None, budget=4)) as service:
        client = InvaderClient(service.address)
        assert client.queries_left is None
        await client.models()
        assert client.queries_left == 4
        await client.classify(IMAGE, target_models=["small"], k=3)
        await client.close()
    assert client.queries_left == 3


class FullAuditLog(AuditLog):
    """On a disk that is full."""

    def _write(self, client: str, facts: object, outcome: str) -> None:
        raise AuditError("no space left on device")


async def test_an_answer_whose_audit_line_cannot_be_written_is_not_given_and_costs_nothing() -> None:
    ledger = QueryLedger(None, budget=5)
    async with serving_invader(ledger=ledger, audit_log=FullAuditLog(None)) as service:
        told = await refusal(service.channel)
    assert told.code is grpc.StatusCode.INTERNAL
    assert "space" not in told.message
    assert await ledger.left(LOOPBACK_CLIENT) == 5
