"""The conformance suite on services without networks: honest ones pass it, and wrong ones are found out."""

import pytest
from deid.invader.v1 import invader_pb2

from conformance.catalogue import ALL_CHECKS, CHECKS
from conformance.check import Verdict
from conformance.client import Client
from conformance.invader.service import Invader
from conformance.suite import Choice, examine, run_checks
from orchestrator.faces.folder import FaceFolder
from rpc.channel import open_channel
from rpc.errors import ServiceError, invalid_argument
from tests.support.conformance_runs import LONG, others, outcomes_of
from tests.support.conformance_tables import DOCUMENT, with_tables
from tests.support.conforming import ConformingInvader, ConformingProtector, Context, Pixels
from tests.support.drawn_faces import draw_face
from tests.support.mutants import MUTANTS, Mutant

PASSED, FAILED, NOT_APPLICABLE = Verdict.PASSED, Verdict.FAILED, Verdict.NOT_APPLICABLE


async def test_a_protector_of_another_make_passes_all_checks(faces: FaceFolder) -> None:
    assert others(await outcomes_of(ConformingProtector(), Choice(faces))) == {}


async def test_an_invader_of_another_make_passes_all_checks_and_what_they_cost_is_said_before(faces: FaceFolder) -> None:
    said: list[str] = []
    async with ConformingInvader().serving() as address:
        choice = Choice(faces, skip=LONG, may_spend=True)  # which each are passed alone, below
        outcomes = await examine(Invader, address, None, choice, on_done=lambda outcome: None, note=said.append)
    assert others(outcomes) == {}
    most = sum(check.queries for check in choice.checks(Invader))
    assert said == [
        f"the checks of the invader ask up to {most} queries; 300 are left",
        "invader.budget-spent then asks until none of our budget is left",
    ]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.caught_by}-{mutant}")
async def test_every_mutant_is_caught_by_its_check(faces: FaceFolder, mutant: Mutant) -> None:
    service = mutant.service()
    (outcome,) = await outcomes_of(service, Choice(faces, only=[mutant.caught_by], may_spend=True))
    assert (outcome.id, outcome.verdict) == (mutant.caught_by, FAILED), outcome.evidence
    assert outcome.evidence
    assert not service.galleries.galleries, "a gallery of the check's is left"


def test_every_check_catches_a_mutant() -> None:
    assert {mutant.caught_by for mutant in MUTANTS} == {check.id for check in ALL_CHECKS}


def test_the_documentation_s_tables_are_those_of_the_suite() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    assert document == with_tables(document), "run python -m tests.support.conformance_tables"
    assert document.count("<!-- end of ") == 2


class Counts(ConformingInvader):
    """Counts the queries that it is asked, whether it answers them or not."""

    asked = 0

    async def Classify(  # noqa: N802
        self, request: invader_pb2.ClassifyRequest, context: Context
    ) -> invader_pb2.ClassifyResponse:
        self.asked += 1
        return await super().Classify(request, context)


class AnswersEverything(Counts):
    """Answers any request by something."""

    def photo(self, encoded: bytes) -> Pixels:
        try:
            return super().photo(encoded)
        except ServiceError:
            return draw_face(0, side=16)

    def check(self, request: invader_pb2.ClassifyRequest) -> None:
        known = [name for name in request.target_models if name in self.label_sets] or ["first"]
        del request.target_models[:]
        request.target_models.extend(known)


class AnswersNothing(Counts):
    """Refuses every query."""

    def check(self, request: invader_pb2.ClassifyRequest) -> None:
        raise invalid_argument("image", expected="another", actual="this")


class HasSpentItsBudget(Counts):
    """Has no query left."""

    budget = 0


@pytest.mark.parametrize("kind", [Counts, AnswersEverything, AnswersNothing, HasSpentItsBudget])
async def test_a_check_alone_asks_no_more_queries_than_its_head_says(faces: FaceFolder, kind: type[Counts]) -> None:
    invader = kind()
    async with invader.serving() as address, open_channel(address) as channel:
        for check in CHECKS[Invader] if kind is Counts else Choice(faces, skip=["*.large-image"]).checks(Invader):
            invader.asked = invader.used = 0
            met = await Invader.discover(Client(channel, Invader.schema), faces)  # who remembers no answer to another check
            (outcome,) = await run_checks(met, [check], on_done=lambda outcome: None)
            if kind is Counts:
                assert outcome.verdict is (NOT_APPLICABLE if check.id == "invader.budget-spent" else PASSED), (
                    outcome.evidence
                )
            assert outcome.verdict is not Verdict.ERROR, outcome.evidence
            assert invader.asked <= check.queries, check.id
