"""How the conformance suite ends where a service hangs, stops, or leaves out what a check needs."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import numpy as np
import pytest
from deid.invader.v1 import invader_pb2
from deid.protector.v1 import protector_pb2

from conformance import client
from conformance.catalogue import CHECKS
from conformance.check import MAX_EVIDENCE, Verdict, none_wrong
from conformance.protector.service import Protector
from conformance.show import as_junit
from conformance.suite import MAX_UNANSWERED, Choice
from orchestrator.errors import UnusableServiceError
from orchestrator.faces.folder import FaceFolder
from rpc.errors import BUSY, ServiceError, invalid_argument
from rpc.server import Server
from tests.support.conformance_runs import LONG, ids_with, outcomes_of
from tests.support.conforming import ConformingInvader, ConformingProtector, Context, Pixels

Request = protector_pb2.CraftRequest
Responses = AsyncIterator[protector_pb2.CraftResponse]


class BusyForYears(ConformingProtector):
    """Asks to come back in three years."""

    async def Craft(self, request: Request, context: Context) -> Responses:  # noqa: N802
        raise ServiceError("busy", code=grpc.StatusCode.RESOURCE_EXHAUSTED, reason=BUSY, retry_after_ms=10**11)
        yield  # an asynchronous generator


async def test_nobody_waits_for_years(faces: FaceFolder) -> None:
    with pytest.raises(UnusableServiceError, match=r"Craft: RESOURCE_EXHAUSTED: busy \(retry in 100000000000 ms\)$"):
        await outcomes_of(BusyForYears(), Choice(faces))


class Hangs(ConformingProtector):
    """Answers no call to Craft after some, and goes on telling its health."""

    calls = 0

    async def Craft(self, request: Request, context: Context) -> Responses:  # noqa: N802
        self.calls += 1
        if self.calls > 6:
            await asyncio.Event().wait()
        async for response in super().Craft(request, context):
            yield response


async def test_a_service_that_hangs_is_not_asked_all_the_rest(faces: FaceFolder) -> None:
    service = Hangs()
    outcomes = await outcomes_of(service, Choice(faces, seconds=0.5))
    assert [outcome.id for outcome in outcomes] == [check.id for check in CHECKS[Protector]]
    failed, not_run = ids_with(outcomes, Verdict.FAILED), ids_with(outcomes, Verdict.NOT_RUN)
    assert len(failed) == MAX_UNANSWERED
    assert len(not_run) > len(CHECKS[Protector]) // 2
    evidence = {outcome.id: outcome.evidence for outcome in outcomes}
    assert evidence[failed[0]] == "Craft: expected an answer, got none within 0.5 s (--seconds)"
    assert {evidence[each] for each in not_run} == {f"the service stopped answering at {failed[-1]}"}
    assert not none_wrong(outcomes)
    assert f'errors="{len(not_run)}"' in as_junit(outcomes).decode()


class Stops(ConformingProtector):
    """Ends while it crafts."""

    calls = 0

    def register(self, server: Server) -> None:
        super().register(server)
        self.server = server

    async def Craft(self, request: Request, context: Context) -> Responses:  # noqa: N802
        self.calls += 1
        if self.calls == 10:
            self.stopping = asyncio.create_task(self.server.grpc.stop(None))
            await asyncio.Event().wait()
        async for response in super().Craft(request, context):
            yield response


async def test_a_service_that_ends_is_not_blamed_for_the_rest(faces: FaceFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ALIVE_SECONDS", 0.5)
    outcomes = await outcomes_of(Stops(), Choice(faces))
    (failed,) = ids_with(outcomes, Verdict.FAILED)
    place = [outcome.id for outcome in outcomes].index(failed)
    assert outcomes[place].evidence.startswith("the service stopped answering: Craft: UNAVAILABLE: ")
    assert {outcome.verdict for outcome in outcomes[:place]} == {Verdict.PASSED}
    assert {outcome.verdict for outcome in outcomes[place + 1 :]} == {Verdict.NOT_RUN}
    assert outcomes[place + 1].evidence == f"the service stopped answering at {failed}"


class SendsNoControl(ConformingProtector):
    """Sends nothing where the control alone is asked for."""

    def row(self, request: Request) -> list[tuple[str, int]]:
        return [] if list(request.methods) == ["none"] else super().row(request)


class SendsCloaksAlone(ConformingProtector):
    """Sends no control but where it is asked for alone."""

    def row(self, request: Request) -> list[tuple[str, int]]:
        whole = super().row(request)
        return whole if len(whole) == 1 else [pair for pair in whole if pair[0] != "none"]


class NoiseOfAnotherSize(ConformingProtector):
    """Sends noise of another size than the probe."""

    def encode(self, pixels: Pixels, storage: protector_pb2.Storage, *, method: str) -> bytes:
        other = np.zeros((20, 20, 3), dtype=np.uint8)
        return super().encode(other if method == "noise" else pixels, storage, method=method)


class SendsNothing(ConformingProtector):
    """Sends nothing where cloaks are asked for."""

    def row(self, request: Request) -> list[tuple[str, int]]:
        return [("none", 0)] if list(request.methods) == ["none"] else []


@pytest.mark.parametrize("kind", [SendsNoControl, SendsCloaksAlone, NoiseOfAnotherSize, SendsNothing])
async def test_what_does_not_come_fails_a_check_and_breaks_none(faces: FaceFolder, kind: type[ConformingProtector]) -> None:
    outcomes = await outcomes_of(kind(), Choice(faces, skip=LONG))
    assert ids_with(outcomes, Verdict.FAILED)
    assert ids_with(outcomes, Verdict.ERROR) == []


class Shouts(ConformingInvader):
    """Answers with endless names, and refuses with what a terminal acts on."""

    def check(self, request: invader_pb2.ClassifyRequest) -> None:
        if request.k < 1:
            raise invalid_argument("k", expected="\x1b]0;owned\x07\x1b[2J", actual="\x00")
        super().check(request)

    def candidates(self, photo: Pixels, name: str, request: invader_pb2.ClassifyRequest) -> list[invader_pb2.Candidate]:
        candidates = super().candidates(photo, name, request)
        candidates[0].identity = "\x1b[31m" + "x" * 200_000
        return candidates


async def test_evidence_is_bounded_and_can_be_printed(faces: FaceFolder) -> None:
    outcomes = await outcomes_of(Shouts(), Choice(faces, only=["invader.members", "invader.bad-k"]))
    for outcome in outcomes:
        assert len(outcome.evidence) <= MAX_EVIDENCE
        assert all(letter.isprintable() for letter in outcome.evidence)
