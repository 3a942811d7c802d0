"""Whole evaluations against an invader that answers so many queries only, or discloses little."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from deid.invader.v1 import invader_pb2

from orchestrator.errors import InputError
from orchestrator.session.runner import Runner
from tests.support.bench import (
    CLOAKS,
    TARGETS,
    Bench,
    draw,
    manifest,
    observed,
    rank,
    run_program,
)
from tests.support.fakes import BUDGET_SPENT, Context, FakeInvader, Shown

QUERIES = 4 * len(CLOAKS)  # a cloak is shown to all target models at once
SECONDS = 20  # until an evaluation that hangs fails


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_a_budget_that_is_enough_is_said_to_be_and_what_is_left_of_it_is_recorded(bench: Bench) -> None:
    bench.invader.queries_left = QUERIES + 2
    evaluated = await bench.evaluate()
    assert evaluated.finished.complete
    assert f"budget         {QUERIES + 2} queries are left with the invader, and about {QUERIES} are needed: enough" in (
        evaluated.printed
    )
    assert manifest(bench.folder)["outcome"]["invader_queries_left"] == 2


async def test_without_a_budget_none_is_spoken_of(bench: Bench) -> None:
    evaluated = await bench.evaluate()
    assert not any(line.startswith("budget ") for line in evaluated.printed.splitlines())
    assert evaluated.outcome["invader_queries_left"] is None


async def test_a_spent_budget_ends_the_run_with_what_was_observed_as_a_short_result(bench: Bench) -> None:
    bench.invader.queries_left = 7
    evaluated = await bench.evaluate(allow_incomplete=True)
    assert not evaluated.finished.complete
    assert " answers no more: the budget is spent" in evaluated.printed
    assert "INCOMPLETE: " in evaluated.printed
    counted = sum(int(row["n"]) for (*_, k), row in evaluated.rows().items() if k == 1)
    assert 0 < counted <= 7 * len(TARGETS)  # of whom it had begun with and not finished, nothing counts
    assert evaluated.outcome["invader_queries_left"] == 0
    assert len(observed(bench.folder)) == 7 * len(TARGETS)
    refused = [shown for shown in bench.invader.asked if (shown, "facenet") not in bench.invader.answered]
    assert refused, "somebody was told"
    assert {bench.invader.asked[shown] for shown in refused} == {1}, "and did not ask again"


class InvaderOfOneSubject(FakeInvader):
    """Its budget is enough for one subject; it refuses the other when a worker waits for that one to end."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.worker_waits = asyncio.Event()

    async def Classify(  # noqa: N802
        self, request: invader_pb2.ClassifyRequest, context: Context
    ) -> invader_pb2.ClassifyResponse:
        if Shown.read(request.image).identity == draw("abcd")[1]:
            await self.worker_waits.wait()
            await BUDGET_SPENT.abort(context)
        return await super().Classify(request, context)


async def test_a_worker_that_waits_for_a_subject_ends_too_where_the_budget_is_spent_by_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    invader = bench.invader = InvaderOfOneSubject(bench.invader.label_sets, rank)
    wait = Runner._wait_for_others

    async def say_and_wait(self: Runner, ended: asyncio.Event) -> None:
        invader.worker_waits.set()
        await wait(self, ended)

    monkeypatch.setattr(Runner, "_wait_for_others", say_and_wait)
    evaluation = asyncio.create_task(bench.evaluate(subjects=2, in_flight=2))
    await asyncio.wait({evaluation}, timeout=SECONDS)
    assert evaluation.done(), "it waits for ever"
    assert not evaluation.result().finished.complete


async def test_a_run_that_a_budget_ended_goes_on_with_another_and_asks_for_the_rest_only(bench: Bench) -> None:
    bench.invader.queries_left = 7
    await bench.evaluate()
    bench.invader.asked.clear()
    bench.invader.queries_left = QUERIES - 7
    evaluated = await bench.evaluate()
    assert evaluated.finished.complete
    assert "and about 13 are needed: enough" in evaluated.printed
    assert bench.invader.asked.total() == QUERIES - 7
    assert bench.invader.queries_left == 0
    assert bench.invader.answered == Counter(
        (Shown(identity, "facenet", *cloak), target) for identity in "abcd" for cloak in CLOAKS for target in TARGETS
    )
    assert evaluated.csv == await bench.undisturbed()


async def test_the_program_says_beforehand_that_a_budget_is_not_enough_and_then_how_to_go_on(bench: Bench) -> None:
    bench.invader.queries_left = 7
    program = await run_program(bench)
    assert program.status == 3
    assert f"7 queries are left with the invader, and about {QUERIES} are needed: NOT ENOUGH" in program.output
    assert " answers no more: the budget is spent" in program.output
    assert f"The same command with --run {bench.folder} asks again for what is missing" in " ".join(program.output.split())
    assert program.errors == ""


async def test_of_an_invader_that_discloses_one_candidate_only_psr_at_1_is_had_and_the_rest_said_to_be_missing(
    bench: Bench,
) -> None:
    bench.invader.max_candidates = 1
    evaluated = await bench.evaluate(ks=None)
    assert evaluated.finished.complete
    assert {k for *_, k in evaluated.rows()} == {1}
    undisturbed = {cell: row["psr"] for cell, row in (await Bench(bench.root / "all").evaluate()).rows().items()}
    assert {cell: row["psr"] for cell, row in evaluated.rows().items()} == {
        cell: psr for cell, psr in undisturbed.items() if cell[-1] == 1
    }
    missing = [line.strip() for line in evaluated.printed.splitlines() if line.startswith("missing")]
    told = [line.split()[1].rstrip(":") for line in missing]
    assert told
    assert "PSR@5" in told
    assert "PSR@1" not in told
    assert all(line.endswith(" discloses fewer candidates") for line in missing)


async def test_psr_that_was_asked_for_and_cannot_be_had_is_refused_and_not_left_out(bench: Bench) -> None:
    bench.invader.max_candidates = 1
    message = await bench.fails(InputError, ks=(1, 5))
    assert message.startswith("--k: expected at most 1, the candidates that ")
    assert message.endswith(", got 5")
    assert not bench.protector.requests
    assert not bench.invader.asked
