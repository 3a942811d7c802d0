"""Runs that go on in other circumstances than they began in."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from deid.protector.v1 import protector_pb2

from orchestrator.errors import InputError, OrchestratorError, UnusableServiceError
from orchestrator.report.run import read_run
from orchestrator.run_folder.folder import RunFolder
from orchestrator.services.invader import InvaderClient
from orchestrator.store.store import Store
from tests.support.bench import (
    IDENTITIES,
    Bench,
    draw,
    observed,
)
from tests.support.fakes import Context, FakeProtector, Fault, Shown
from tests.support.tcp_proxy import Way, tcp_proxy

SHORT = "d"
Responses = AsyncIterator[protector_pb2.CraftResponse]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def failing(identity: str) -> Callable[[Shown, int], Fault | None]:
    return lambda shown, _: Fault() if (shown.identity, shown.method, shown.epsilon) == (identity, "bim", 8) else None


def shared(bench: Bench) -> str:
    return f"sqlite:///{bench.root / 'shared.sqlite'}"


async def test_a_complete_run_stays_complete_where_its_photos_are_gone(bench: Bench) -> None:
    first = (await bench.evaluate(keep_cloaks=False)).csv
    (bench.faces / "a" / "0.jpg").write_bytes(b"damaged")
    again = await bench.evaluate(keep_cloaks=True)
    assert again.finished.complete
    assert again.csv == first


async def test_what_a_killed_orchestrator_had_leased_is_taken_up_when_its_lease_expires(bench: Bench) -> None:
    undisturbed = await bench.undisturbed()
    bench.invader.fault = lambda shown, time: Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many", "RATE_LIMITED")
    await bench.fails(UnusableServiceError)
    assert not read_run(bench.folder).held, "a run that ends in order gives its leases back"
    killed = Store(RunFolder(bench.folder).observations, run=read_run(bench.folder).digest)
    assert killed.leases.claim(wanted=1) == draw("abcd")[0]
    assert read_run(bench.folder).held

    def soon_expired(shown: Shown, _time: int) -> None:
        replace(killed.leases, seconds=3.0).renew()

    bench.invader.fault = soon_expired
    evaluated = await bench.evaluate(in_flight=2)
    killed.close()
    assert "waiting for subjects that another orchestrator has leased" in evaluated.printed
    assert evaluated.csv == undisturbed
    assert not read_run(bench.folder).held


async def test_an_adaptive_run_does_not_decide_on_answers_that_are_missing(bench: Bench) -> None:
    bench.add(*IDENTITIES)
    short = draw(IDENTITIES)[1]
    bench.invader.fault = failing(short)
    looking: dict[str, Any] = {"subjects": None, "until_halfwidth": 49.0}
    evaluated = await bench.evaluate(**looking)
    assert not evaluated.finished.complete
    assert "cells are short: whether these are enough cannot be told" in evaluated.printed
    assert (evaluated.outcome["subjects_wanted"], evaluated.outcome["complete"]) == (None, False)
    assert not read_run(bench.folder).complete
    bench.invader.fault = lambda shown, time: None
    evaluated = await bench.evaluate(**looking)
    assert evaluated.finished.complete
    assert (evaluated.outcome["subjects_wanted"], evaluated.outcome["complete"]) == (len(IDENTITIES), True)
    assert read_run(bench.folder).complete


async def test_an_outcome_is_forgotten_when_the_run_goes_on(bench: Bench) -> None:
    bench.invader.fault = failing(SHORT)
    await bench.evaluate()
    assert not read_run(bench.folder).going_on
    going_on: list[bool] = []

    def look(shown: Shown, _time: int) -> None:
        going_on.append(read_run(bench.folder).going_on)

    bench.invader.fault = look
    await bench.evaluate()
    assert going_on == [True]
    assert not read_run(bench.folder).going_on


async def test_what_a_spent_budget_left_unfinished_is_said_and_replaces_nobody(bench: Bench) -> None:
    bench.invader.queries_left = 7
    evaluated = await bench.evaluate(in_flight=4)
    assert not evaluated.finished.complete
    assert f"{len(observed(bench.folder))} observations are of subjects that are not done" in evaluated.printed
    assert evaluated.outcome["replaced"] == {}


async def test_a_plan_that_the_store_refuses_leaves_nothing_in_a_new_folder(bench: Bench) -> None:
    store = shared(bench)
    await bench.evaluate(folder=bench.root / "one" / "run", store=store)
    other = bench.root / "two" / "run"
    with pytest.raises(InputError, match=r"holds another run; what differs: protocol.seed: 0 then, 1 now"):
        await bench.evaluate(folder=other, store=store, seed=1)
    assert (await bench.evaluate(folder=other, store=store)).finished.complete, "the command, mended"


async def test_another_name_is_no_way_to_the_same_run(bench: Bench) -> None:
    store = shared(bench)
    await bench.evaluate(folder=bench.root / "one", store=store)
    asked = bench.invader.asked.total()
    with pytest.raises(InputError, match=r"holds a run of the same plan that is called 'one', got 'two'"):
        await bench.evaluate(folder=bench.root / "two", store=store)
    assert bench.invader.asked.total() == asked


async def test_a_run_folder_may_be_renamed(bench: Bench) -> None:
    first = (await bench.evaluate()).csv
    renamed = bench.folder.rename(bench.root / "renamed")
    assert (await bench.evaluate(folder=renamed)).csv == first


async def test_an_invader_that_always_says_later_ends_the_run_when_its_patience_ends(bench: Bench) -> None:
    bench.invader.fault = lambda shown, time: Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many", "RATE_LIMITED")
    message = await bench.fails(UnusableServiceError)
    assert "it has let nothing through since " in message
    assert observed(bench.folder) == set()
    bench.invader.fault = lambda shown, time: None
    assert (await bench.evaluate()).finished.complete


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
async def test_a_connection_that_breaks_while_the_services_list_what_they_have_costs_no_run(
    bench: Bench, share: float
) -> None:
    async with bench.protector.serving() as protector, bench.invader.serving() as invader:
        with tcp_proxy(invader) as proxy:
            client = InvaderClient(proxy.address)
            await client.models()
            await client.close()
            both_rounds = 2 * proxy.bytes[Way.ANSWERED]  # before anything is made, and for the plan
            cut = proxy.passed(Way.ANSWERED, round(share * both_rounds))
            proxy.when(Way.ANSWERED, round(share * both_rounds), proxy.cut)
            assert (await bench.evaluate_at(protector, proxy.address)).finished.complete
            assert cut.is_set()


async def test_a_run_that_ends_asks_no_other_question(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.session.classifying.CLASSIFICATIONS_IN_FLIGHT", 1)
    invader = bench.invader
    invader.hold = lambda shown: True  # the one place is taken for good

    class Waiting(FakeProtector):
        async def Craft(self, request: protector_pb2.CraftRequest, context: Context) -> Responses:  # noqa: N802
            async for response in super().Craft(request, context):
                if response.method == "bim":
                    await invader.held.wait()
                    if request.identity != next(iter(invader.asked)).identity:
                        await asyncio.Event().wait()
                yield response

    keep = RunFolder.keep_cloak

    def full(self: RunFolder, sha256: str, encoded: bytes) -> None:
        if Shown.read(encoded).method == "bim":
            raise OrchestratorError("the disk is full")
        keep(self, sha256, encoded)

    bench.protector = Waiting({"facenet": IDENTITIES})
    monkeypatch.setattr(RunFolder, "keep_cloak", full)
    assert await bench.fails(OrchestratorError, in_flight=4) == "the disk is full"
    assert invader.asked.total() == 1
