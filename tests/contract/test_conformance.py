"""The conformance suite: our own services pass it, honest ones of another make too, and wrong ones are found out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from deid.invader.v1 import invader_pb2

from conformance.catalogue import INVADER_CHECKS, KNOWN, PROTECTOR_CHECKS
from conformance.check import Check, Outcome, Verdict
from conformance.examination import Choice, examine_invader, examine_protector
from conformance.invader.service import SERVICE, Invader
from conformance.suite import run_checks
from conformance.wire import Wire
from invader_service.disclosure import Disclosure
from invader_service.ledger import QueryLedger
from invader_service.rate_limit import RateLimit
from orchestrator.faces.folder import FaceFolder, read_face_folder
from orchestrator.services.connection import Connection
from protector_service.capacity import CapacityLimiter
from rpc.certificates import Authority
from rpc.errors import ServiceError, invalid_argument
from rpc.images.decoding import ImageLimits
from rpc.tls import TlsMaterial
from tests.support.certificates import material
from tests.support.conformance_tables import DOCUMENT, with_tables
from tests.support.conforming import IDENTITIES, ConformingInvader, ConformingProtector, Context, Pixels
from tests.support.drawn_faces import jpeg
from tests.support.mutants import MUTANTS, Mutant
from tests.support.networks import probe
from tests.support.services import serving_invader, serving_protector

AUTHORITY = Authority.create()
PASSED, FAILED, NOT_APPLICABLE = Verdict.PASSED, Verdict.FAILED, Verdict.NOT_APPLICABLE
LONG = ("*.limits", "protector.cancellation", "protector.deadline")  # seconds each
OF_BUDGETS = {"invader.budget", "invader.budget-errors", "invader.budget-spent"}


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> FaceFolder:
    """A photo each of people whom the services of these tests know."""
    root = tmp_path_factory.mktemp("faces")
    write_faces(root)
    return read_face_folder(root)


def write_faces(root: Path) -> None:
    for number, identity in enumerate(IDENTITIES[:5]):
        (root / identity).mkdir()
        (root / identity / "a.jpg").write_bytes(jpeg(probe(side=64, seed=number)))


async def protector_outcomes(address: str, choice: Choice, tls: TlsMaterial | None = None) -> list[Outcome]:
    return await examine_protector(address, tls, choice, on_done=lambda outcome: None)


async def invader_outcomes(address: str, choice: Choice, tls: TlsMaterial | None = None) -> list[Outcome]:
    return await examine_invader(address, tls, choice, on_done=lambda outcome: None, note=lambda message: None)


def others(outcomes: Sequence[Outcome], verdict: Verdict = PASSED) -> dict[str, str]:
    """Evidence by id of the checks that did not come to a verdict."""
    return {outcome.id: outcome.evidence for outcome in outcomes if outcome.verdict is not verdict}


async def test_our_protector_passes_in_plain_text_and_by_mutual_tls(faces: FaceFolder) -> None:
    async with serving_protector(limits=ImageLimits()) as service:
        plain = await protector_outcomes(service.address, Choice(faces))
    async with serving_protector(tls=material(AUTHORITY, "protector", server=True), limits=ImageLimits()) as service:
        by_tls = await protector_outcomes(service.address, Choice(faces), material(AUTHORITY))
    assert others(plain) == others(by_tls) == {}
    assert [each.id for each in plain] == [each.id for each in by_tls] == [check.id for check in PROTECTOR_CHECKS]


async def test_our_protector_passes_where_little_room_makes_it_busy(faces: FaceFolder) -> None:
    async with serving_protector(capacity=CapacityLimiter(20), max_waiting=1, limits=ImageLimits()) as service:
        outcomes = await protector_outcomes(service.address, Choice(faces, skip=LONG))
    assert others(outcomes) == {}


async def test_our_invader_passes_in_plain_text_and_by_mutual_tls(faces: FaceFolder) -> None:
    async with serving_invader(images=ImageLimits(), ledger=QueryLedger(None, budget=300)) as service:
        plain = await invader_outcomes(service.address, Choice(faces, may_spend=True))
    async with serving_invader(images=ImageLimits(), tls=material(AUTHORITY, "invader", server=True)) as service:
        by_tls = await invader_outcomes(service.address, Choice(faces), material(AUTHORITY))
    assert others(plain) == {}
    assert set(others(by_tls)) == OF_BUDGETS
    assert [each.id for each in plain] == [each.id for each in by_tls] == [check.id for check in INVADER_CHECKS]


@pytest.mark.parametrize("disclosure", [Disclosure.RANKED, Disclosure.TOP1])
async def test_our_invader_passes_whatever_it_discloses(faces: FaceFolder, disclosure: Disclosure) -> None:
    policy: dict[str, Any] = {
        "disclosure": disclosure,
        "list_identities": False,
        "rate_limit": RateLimit(1000),
        "images": ImageLimits(),
    }
    async with serving_invader(**policy) as service:
        outcomes = await invader_outcomes(service.address, Choice(faces, skip=LONG))
    assert others([each for each in outcomes if each.verdict is not NOT_APPLICABLE]) == {}
    not_listed = {"invader.label-sets", "invader.pages"}
    assert {"invader.sorted", *not_listed, *OF_BUDGETS} <= {each.id for each in outcomes if each.verdict is NOT_APPLICABLE}


async def test_services_of_another_make_pass_all_checks(faces: FaceFolder) -> None:
    async with ConformingProtector().serving() as address:
        assert others(await protector_outcomes(address, Choice(faces))) == {}
    async with ConformingInvader().serving() as address:
        assert others(await invader_outcomes(address, Choice(faces, may_spend=True))) == {}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.caught_by}-{mutant}")
async def test_every_mutant_is_caught_by_its_check(faces: FaceFolder, mutant: Mutant) -> None:
    choice = Choice(faces, only=[mutant.caught_by], may_spend=True)
    async with mutant.service().serving() as address:
        examine = protector_outcomes if isinstance(mutant.service(), ConformingProtector) else invader_outcomes
        (outcome,) = await examine(address, choice)
    assert (outcome.id, outcome.verdict) == (mutant.caught_by, FAILED), outcome.evidence
    assert outcome.evidence


def test_every_check_catches_a_mutant() -> None:
    assert {mutant.caught_by for mutant in MUTANTS} == set(KNOWN)


def test_the_documentation_s_tables_are_those_of_the_suite() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    assert document == with_tables(document), "run python -m tests.support.conformance_tables"
    assert document.count("<!-- end of ") == 2


async def test_an_invader_is_asked_no_more_than_was_said(faces: FaceFolder) -> None:
    invader = ConformingInvader()
    invader.budget = 1000
    said: list[str] = []
    async with invader.serving() as address:
        await examine_invader(address, None, Choice(faces), on_done=lambda outcome: None, note=said.append)
    most = sum(check.queries for check in INVADER_CHECKS)
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
@pytest.mark.parametrize("check", INVADER_CHECKS, ids=lambda check: check.id)
async def test_a_check_alone_asks_no_more_queries_than_its_head_says(
    faces: FaceFolder, check: Check[Invader], kind: type[Counts]
) -> None:
    invader = kind()
    async with invader.serving() as address:
        outcome = await run_alone(check, address, faces)
    if kind is Counts:
        assert outcome.verdict is (NOT_APPLICABLE if check.id == "invader.budget-spent" else PASSED), outcome.evidence
    assert outcome.verdict is not Verdict.ERROR, outcome.evidence
    assert invader.asked <= check.queries


async def run_alone(check: Check[Invader], address: str, faces: FaceFolder) -> Outcome:
    """What becomes of a check, whatever is left of a budget."""
    connection = Connection("invader", address, None, retries=False)
    try:
        met = await Invader.met(Wire(connection.channel, SERVICE), faces)
        (outcome,) = await run_checks(met, [check], on_done=lambda outcome: None)
    finally:
        await connection.close()
    return outcome
