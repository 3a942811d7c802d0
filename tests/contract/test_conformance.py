"""The conformance suite: our own services pass it, honest ones of another make too, and wrong ones are found out."""

from typing import Any

import pytest
from deid.invader.v1 import invader_pb2

from conformance.catalogue import ALL_CHECKS, CHECKS
from conformance.check import Verdict
from conformance.client import Client
from conformance.invader.service import Invader
from conformance.protector.service import Protector
from conformance.suite import Choice, examine, run_checks
from invader_service.disclosure import Disclosure
from invader_service.ledger import QueryLedger
from invader_service.rate_limit import RateLimit
from orchestrator.faces.folder import FaceFolder
from protector_service.capacity import CapacityLimiter
from rpc.certificates import Authority
from rpc.channel import open_channel
from rpc.errors import ServiceError, invalid_argument
from rpc.images.decoding import ImageLimits
from tests.support.certificates import material
from tests.support.conformance_runs import LONG, others, outcomes_at, outcomes_of
from tests.support.conformance_tables import DOCUMENT, with_tables
from tests.support.conforming import ConformingInvader, ConformingProtector, Context, Pixels
from tests.support.mutants import MUTANTS, Mutant
from tests.support.networks import probe
from tests.support.services import serving_invader, serving_protector

AUTHORITY = Authority.create()
PASSED, FAILED, NOT_APPLICABLE = Verdict.PASSED, Verdict.FAILED, Verdict.NOT_APPLICABLE
OF_BUDGETS = {"invader.budget", "invader.budget-errors", "invader.budget-spent"}


async def test_our_protector_passes_in_plain_text_and_by_mutual_tls(faces: FaceFolder) -> None:
    async with serving_protector(limits=ImageLimits()) as service:
        plain = await outcomes_at(service.address, Protector, Choice(faces))
    async with serving_protector(tls=material(AUTHORITY, "protector", server=True), limits=ImageLimits()) as service:
        by_tls = await outcomes_at(service.address, Protector, Choice(faces), material(AUTHORITY))
    assert others(plain) == others(by_tls) == {}
    assert [each.id for each in plain] == [each.id for each in by_tls] == [check.id for check in CHECKS[Protector]]


async def test_our_protector_passes_where_little_room_makes_it_busy(faces: FaceFolder) -> None:
    async with serving_protector(capacity=CapacityLimiter(20), max_waiting=1, limits=ImageLimits()) as service:
        outcomes = await outcomes_at(service.address, Protector, Choice(faces, skip=LONG))
    assert others(outcomes) == {}


async def test_our_invader_passes_in_plain_text_and_by_mutual_tls(faces: FaceFolder) -> None:
    async with serving_invader(images=ImageLimits(), ledger=QueryLedger(None, budget=300)) as service:
        plain = await outcomes_at(service.address, Invader, Choice(faces, may_spend=True))
    async with serving_invader(images=ImageLimits(), tls=material(AUTHORITY, "invader", server=True)) as service:
        by_tls = await outcomes_at(service.address, Invader, Choice(faces), material(AUTHORITY))
    assert others(plain) == {}
    assert set(others(by_tls)) == OF_BUDGETS
    assert [each.id for each in plain] == [each.id for each in by_tls] == [check.id for check in CHECKS[Invader]]


@pytest.mark.parametrize("disclosure", [Disclosure.RANKED, Disclosure.TOP1])
async def test_our_invader_passes_whatever_it_discloses(faces: FaceFolder, disclosure: Disclosure) -> None:
    policy: dict[str, Any] = {
        "disclosure": disclosure,
        "list_identities": False,
        "rate_limit": RateLimit(1000),
        "images": ImageLimits(),
    }
    async with serving_invader(**policy) as service:
        outcomes = await outcomes_at(service.address, Invader, Choice(faces, skip=LONG))
    assert others([each for each in outcomes if each.verdict is not NOT_APPLICABLE]) == {}
    not_listed = {"invader.label-sets", "invader.pages"}
    assert {"invader.sorted", *not_listed, *OF_BUDGETS} <= {each.id for each in outcomes if each.verdict is NOT_APPLICABLE}


async def test_services_of_another_make_pass_all_checks(faces: FaceFolder) -> None:
    assert others(await outcomes_of(ConformingProtector(), Choice(faces))) == {}
    assert others(await outcomes_of(ConformingInvader(), Choice(faces, may_spend=True))) == {}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.caught_by}-{mutant}")
async def test_every_mutant_is_caught_by_its_check(faces: FaceFolder, mutant: Mutant) -> None:
    (outcome,) = await outcomes_of(mutant.service(), Choice(faces, only=[mutant.caught_by], may_spend=True))
    assert (outcome.id, outcome.verdict) == (mutant.caught_by, FAILED), outcome.evidence
    assert outcome.evidence


def test_every_check_catches_a_mutant() -> None:
    assert {mutant.caught_by for mutant in MUTANTS} == {check.id for check in ALL_CHECKS}


def test_the_documentation_s_tables_are_those_of_the_suite() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    assert document == with_tables(document), "run python -m tests.support.conformance_tables"
    assert document.count("<!-- end of ") == 2


async def test_an_invader_is_asked_no_more_than_was_said(faces: FaceFolder) -> None:
    invader = ConformingInvader()
    invader.budget = 1000
    said: list[str] = []
    async with invader.serving() as address:
        await examine(Invader, address, None, Choice(faces), on_done=lambda outcome: None, note=said.append)
    most = sum(check.queries for check in CHECKS[Invader])
    assert said == [f"the checks of the invader ask up to {most} queries; 1000 are left"]
    assert 0 < invader.used <= most


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
            return probe(side=16)

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
        for check in CHECKS[Invader]:
            invader.asked = invader.used = 0
            met = await Invader.met(Client(channel, Invader.schema), faces)  # who remembers no answer to another check
            (outcome,) = await run_checks(met, [check], on_done=lambda outcome: None)
            if kind is Counts:
                assert outcome.verdict is (NOT_APPLICABLE if check.id == "invader.budget-spent" else PASSED), (
                    outcome.evidence
                )
            assert outcome.verdict is not Verdict.ERROR, outcome.evidence
            assert invader.asked <= check.queries, check.id
