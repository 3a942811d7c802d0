"""The conformance suite on our own services, which pass it. test_protector.py and test_invader.py tell the rest."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from conformance.catalogue import CHECKS
from conformance.check import Verdict
from conformance.invader.service import Invader
from conformance.protector.service import Protector
from conformance.suite import Choice
from invader_service.disclosure import Disclosure
from invader_service.ledger import QueryLedger
from invader_service.rate_limit import RateLimit
from orchestrator.faces.folder import FaceFolder
from protector_service.capacity import CapacityLimiter, Charge
from recognizers.galleries.matchers import Matcher
from rpc.certificates import Authority
from rpc.images.limits import ImageLimits
from tests.support.certificates import material
from tests.support.conformance_runs import LONG, gallery_checks, ids_with, others, outcomes_at
from tests.support.engines import METHODS
from tests.support.matchers import tiny_matchers
from tests.support.services import serving_invader, serving_protector, small_recognizer

AUTHORITY = Authority.create()
OF_MATCHERS = {"invader.gallery-order", "invader.scores", "invader.thresholds", "invader.reached-prefix"}
NOTHING_ENROLLED = "the service enrols nothing from clients"
OF_BUDGETS = {"invader.budget", "invader.budget-errors", "invader.budget-spent"}


@pytest.fixture(scope="module")
def matchers(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Matcher]:
    """A small matcher with all kinds of thresholds."""
    return tiny_matchers(tmp_path_factory.mktemp("people"))


OTHERS = {"larger": small_recognizer(seed=1, input_size=12), "other": small_recognizer(seed=2, classes=5)}


async def test_our_protector_passes_by_mutual_tls(faces: FaceFolder, matchers: Mapping[str, Matcher]) -> None:
    tls = material(AUTHORITY, "protector", server=True)
    async with serving_protector(others=OTHERS, matchers=matchers, tls=tls, limits=ImageLimits()) as service:
        outcomes = await outcomes_at(service.address, Protector, Choice(faces), material(AUTHORITY))
    assert others(outcomes) == {}
    assert [each.id for each in outcomes] == [check.id for check in CHECKS[Protector]]


class Crowded(CapacityLimiter):
    """Has room for three calls, whatever they take."""

    def __init__(self) -> None:
        super().__init__(3)

    def exchange(self, charge: Charge, *, held: int) -> int:
        return super().exchange(replace(charge, bytes=1), held=held)


async def test_our_protector_passes_in_plain_text_where_little_room_makes_it_busy(faces: FaceFolder) -> None:
    few: dict[str, Any] = {
        "others": OTHERS,
        "methods": {name: METHODS[name] for name in ("bim", "illc", "mi", "none", "noise", "pgd")},
        "capacity": Crowded(),
        "max_waiting": 1,
    }
    async with serving_protector(**few, limits=ImageLimits()) as service:
        outcomes = await outcomes_at(service.address, Protector, Choice(faces, skip=LONG))
    nothing_enrolled = dict.fromkeys(gallery_checks(Protector), NOTHING_ENROLLED)
    assert others(outcomes) == {"protector.gallery-order": "there is no matcher"} | nothing_enrolled


async def test_our_invader_passes_by_mutual_tls(faces: FaceFolder, matchers: Mapping[str, Matcher]) -> None:
    tls, ledger = material(AUTHORITY, "invader", server=True), QueryLedger(None, budget=300)
    async with serving_invader(matchers=matchers, images=ImageLimits(), tls=tls, ledger=ledger) as service:
        outcomes = await outcomes_at(service.address, Invader, Choice(faces, may_spend=True), material(AUTHORITY))
    assert others(outcomes) == {}
    assert [each.id for each in outcomes] == [check.id for check in CHECKS[Invader]]


@pytest.mark.parametrize("disclosure", [Disclosure.RANKED, Disclosure.TOP1])
async def test_our_invader_passes_in_plain_text_whatever_it_discloses(faces: FaceFolder, disclosure: Disclosure) -> None:
    policy: dict[str, Any] = {
        "disclosure": disclosure,
        "list_identities": False,
        "rate_limit": RateLimit(1000),
        "images": ImageLimits(),
    }
    async with serving_invader(**policy) as service:
        outcomes = await outcomes_at(service.address, Invader, Choice(faces, skip=LONG))
    does_not_apply = ids_with(outcomes, Verdict.NOT_APPLICABLE)
    assert others(outcomes).keys() == set(does_not_apply)
    assert {"invader.sorted", "invader.label-sets", "invader.pages", *OF_BUDGETS, *OF_MATCHERS} <= set(does_not_apply)


async def test_waits_of_a_rate_limit_are_not_held_against_our_invader(faces: FaceFolder) -> None:
    only = ["invader.cancellation", "invader.deadline"]
    async with serving_invader(rate_limit=RateLimit(5), images=ImageLimits()) as service:
        assert others(await outcomes_at(service.address, Invader, Choice(faces, only=only))) == {}
