"""The conformance suite: our own services pass it, honest ones of another make too, and wrong ones are found out."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from invader_service.disclosure import Disclosure
from invader_service.ledger import QueryLedger
from invader_service.rate_limit import RateLimit
from orchestrator.conformance.catalogue import INVADER_CHECKS, KNOWN, PROTECTOR_CHECKS
from orchestrator.conformance.check import Check, Outcome, Verdict
from orchestrator.conformance.examination import Choice, examine_invader, examine_protector
from orchestrator.conformance.invader.service import Invader
from orchestrator.face_folder import FaceFolder, read_face_folder
from protector_service.admission import Admission
from rpc.certificates import Authority
from rpc.tls import TlsMaterial
from tests.contract.conformance_tables import DOCUMENT, with_tables
from tests.contract.conforming import IDENTITIES, ConformingInvader, ConformingProtector
from tests.contract.mutants import MUTANTS, Mutant
from tests.contract.services import serving_invader, serving_protector
from tests.drawn_faces import jpeg
from tests.networks import probe
from tests.unit.rpc.certificates import material

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
    async with serving_protector() as service:
        plain = await protector_outcomes(service.address, Choice(faces))
    async with serving_protector(tls=material(AUTHORITY, "protector", server=True)) as service:
        by_tls = await protector_outcomes(service.address, Choice(faces), material(AUTHORITY))
    assert others(plain) == others(by_tls) == {}
    assert [each.id for each in plain] == [each.id for each in by_tls] == [check.id for check in PROTECTOR_CHECKS]


async def test_our_protector_passes_where_little_room_makes_it_busy(faces: FaceFolder) -> None:
    async with serving_protector(admission=Admission(20), most_waiting=1) as service:
        outcomes = await protector_outcomes(service.address, Choice(faces, skip=LONG))
    assert others(outcomes) == {}


async def test_our_invader_passes_in_plain_text_and_by_mutual_tls(faces: FaceFolder) -> None:
    async with serving_invader(ledger=QueryLedger(None, budget=300)) as service:
        plain = await invader_outcomes(service.address, Choice(faces, may_spend=True))
    async with serving_invader(tls=material(AUTHORITY, "invader", server=True)) as service:
        by_tls = await invader_outcomes(service.address, Choice(faces), material(AUTHORITY))
    assert others(plain) == {}
    assert set(others(by_tls)) == OF_BUDGETS
    assert [each.id for each in plain] == [each.id for each in by_tls] == [check.id for check in INVADER_CHECKS]


@pytest.mark.parametrize("disclosure", [Disclosure.RANKED, Disclosure.TOP1])
async def test_our_invader_passes_whatever_it_discloses(faces: FaceFolder, disclosure: Disclosure) -> None:
    async with serving_invader(disclosure=disclosure, list_identities=False, rate_limit=RateLimit(1000)) as service:
        outcomes = await invader_outcomes(service.address, Choice(faces, skip=LONG))
    assert others([each for each in outcomes if each.verdict is not NOT_APPLICABLE]) == {}
    not_listed = {"invader.label-sets", "invader.pages", "invader.members"}
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
    assert document == with_tables(document), "run python -m tests.contract.conformance_tables"
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


@pytest.mark.parametrize("check", INVADER_CHECKS, ids=lambda check: check.id)
async def test_a_check_alone_costs_no_more_queries_than_its_head_says(faces: FaceFolder, check: Check[Invader]) -> None:
    invader = ConformingInvader()
    async with invader.serving() as address:
        (outcome,) = await invader_outcomes(address, Choice(faces, only=[check.id]))
    assert outcome.verdict is (NOT_APPLICABLE if check.id == "invader.budget-spent" else PASSED), outcome.evidence
    assert invader.used <= check.queries
